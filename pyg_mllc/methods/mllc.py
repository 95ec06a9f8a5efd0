"""Multi-Level Label Correction (Xiao et al., IEEE TMM 2024)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from graphs import maps_to_nodes
from pyg_mllc.data.batch import Batch
from pyg_mllc.errors import InputError
from pyg_mllc.losses import info_nce, masked_cross_entropy, prototype_loss, pseudo_label_weight
from pyg_mllc.methods.prototypes import Prototypes
from pyg_mllc.methods.semi_supervised import Guess, SemiSupervised, check_drop
from pyg_mllc.nn import CorrectedSegmenter, LabelCorrector, Prediction, Segmenter
from pyg_mllc.nn.frozen_features import FrozenFeatures
from pyg_mllc.utils.resize import resize_labels


class MLLC(SemiSupervised):
    r"""Learn from labels, and from the teacher's graph-corrected labels of other images.

    .. math::
        \mathcal{L} = \mathcal{L}_{sup} + \lambda_c \mathcal{L}_{clg} + \lambda_s \mathcal{L}_{slg}

    Every round's logits are supervised, by labels on labeled images and by the teacher's labels
    after its last round on strong views of unlabeled ones; embeddings of every round are contrasted
    within an image and against one prototype per class. Beyond the paper: labeled pixels of other
    images as anchors, and graphs over a frozen encoder's features.

    Args:
        segmenter: the network to train.
        corrector: its correction rounds, trained along.
        weak: makes the weak views.
        strong: makes the strong views.
        sight: what graphs look at, made from the size of the embedding: `FrozenFeatures` of another
            encoder, as in `method=mllc_anchors`; by default the embedding.
        anchors: labeled pixels kept as anchors, in all; 0 for none, as published. An image's are
            replaced each time it is seen, as features move.
        lambda_clg: weight of the teacher's labels.
        lambda_slg: weight of the contrastive losses.
        intra: weight of the contrast within an image, in the contrastive loss.
        inter: weight of the contrast against prototypes.
        drop: share of channels that the encoder's maps of a weak view lose. That view and a second
            strong one then teach the segmenter's own logits as well, as in `UniMatch`: of the
            weight of the teacher's labels a half stays with the first strong view and all its
            rounds, a sixth goes to the second and a third to the lossy one. 0 for neither.
        deep: supervise every round, not the segmenter's own logits and the last round's alone.
        weighting: of a pixel of the teacher's label: `power`, `hard` or `uniform`, see
            `pseudo_label_weight`.
        power: exponent of the confidence with `weighting="power"`.
        thresholds: of trust per class: `counts`, as published; `ema`, which forgets; `fixed`.
        samples: pixels per image that are contrasted within it.
        total_steps: length of the training.
        warmup: share of the training that is supervised only.
        contrast_from: share of the training from which features are contrasted; best not later
            than `warmup`, for corrections need embeddings that mean something.
        decay: of the teacher.
        student_anchors: whether anchors take part in the student's own rounds in training, too, not
            in the teacher's and at prediction alone.

    Raises:
        InputError: if `contrast_from`, `drop`, `warmup`, `decay`, `thresholds` or `anchors` is out
            of range or does not fit the corrector.
        ValueError: if `weighting` is none of the three.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector,
        weak: nn.Module | None = None,
        strong: nn.Module | None = None,
        sight: Callable[..., FrozenFeatures] | None = None,
        anchors: int = 0,
        lambda_clg: float = 1.0,
        lambda_slg: float = 0.1,
        intra: float = 1.0,
        inter: float = 1.0,
        drop: float = 0.0,
        deep: bool = True,
        weighting: str = "power",
        power: float = 6.0,
        thresholds: str = "counts",
        samples: int = 256,
        total_steps: int = 1000,
        warmup: float = 0.1,
        contrast_from: float = 0.05,
        decay: float = 0.99,
        student_anchors: bool = True,
    ) -> None:
        if not 0 <= contrast_from <= 1:
            raise InputError(f"expected method.contrast_from in [0, 1], got {contrast_from}")
        check_drop(drop)
        student, tau = CorrectedSegmenter(segmenter, corrector), corrector.threshold
        super().__init__(
            student, weak, strong, tau, total_steps, warmup, decay,
            sight=sight, anchors=anchors, thresholds=thresholds,
        )  # fmt: skip
        self.prototypes = Prototypes(segmenter.num_classes, segmenter.feature_dim)
        self.student_anchors = student_anchors
        self.lambda_clg, self.lambda_slg = lambda_clg, lambda_slg
        self.intra, self.inter, self.deep, self.drop = intra, inter, deep, drop
        self.weighting, self.power, self.samples = weighting, power, samples
        pseudo_label_weight(torch.ones(1, 1, 1), weighting, tau, power)  # refuses what there is not
        self.contrast_step = int(contrast_from * total_steps)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Give the losses of one step.

        Args:
            batch: see `Method`; `index` only with anchors.
        """
        image, label = self.weak(batch["image"], batch["label"])
        numbers = self.image_numbers(batch)
        if self.warming_up:
            history, look = self._learn(image, self.student.segmenter(image), numbers)
            self.count_confident(history[0], label)
            losses = {"supervised": self._supervise(history, label)}
            losses["contrast"] = self._contrast(history, label)
            self.prototypes.update(*_nodes(history[0].features.detach(), label))
            self.keep_anchors(look, label, numbers)
            return self._total(losses)

        guess = self.guess(batch["unlabeled"], batch["valid"])
        tau = self.threshold
        trust = pseudo_label_weight(guess.confidence, self.weighting, tau, self.power)
        strong, mixed, weight = self.strong(guess.view, guess.label, trust)
        index = None
        if numbers is not None:
            index = torch.cat([numbers, torch.full((len(strong),), -1).to(numbers)])
        # One forward for both parts: batch normalization sees labeled and strong views together.
        views = torch.cat([image, strong])
        prediction, extra = self._perturb(views, guess, trust)
        history, look = self._learn(views, prediction, index)
        known = [Prediction(*(part[: len(image)] for part in p)) for p in history]
        guessed = [Prediction(*(part[len(image) :] for part in p)) for p in history]
        self.count_confident(known[0], label)
        self.count_confident(guess.belief, guess.label)
        unsupervised = self._supervise(guessed, mixed, weight)
        if extra is not None:  # as much as the first view, over all of its rounds
            unsupervised = (unsupervised + len(self._learners(history)) * extra) / 2
        losses = {
            "supervised": self._supervise(known, label),
            "unsupervised": unsupervised,
            "contrast": self._contrast(history, torch.cat([label, mixed])),
        }
        seen = known[0].features.detach(), guess.belief.features
        (x, y), (u, v) = _nodes(seen[0], label), _nodes(seen[1], guess.label)
        self.prototypes.update(torch.cat([x, u]), torch.cat([y, v]))
        self.keep_anchors(look[: len(image)], label, numbers)
        return {**self._total(losses), "trusted": self.trusted(guess)}

    def _learn(
        self, views: Tensor, prediction: Prediction, index: Tensor | None
    ) -> tuple[list[Prediction], Tensor]:
        """The student's predictions, which are to learn, and what graphs looked at."""
        return self.correct(self.student, views, prediction, index, self.student_anchors)

    def _perturb(
        self, views: Tensor, guess: Guess, trust: Tensor
    ) -> tuple[Prediction, Tensor | None]:
        """Predict the views, and give the loss of a second strong and a lossy one, if `drop`."""
        segmenter = self.student.segmenter
        if not self.drop:
            return segmenter(views), None
        strong, mixed, weight = self.strong(guess.view, guess.label, trust)
        clear = torch.cat([views, strong])
        (logits, features), lossy = segmenter.predict_lossy(clear, guess.view, self.drop)
        n = len(views)
        second = masked_cross_entropy(logits[n:], mixed, weight)
        weak = masked_cross_entropy(lossy, guess.label, trust)
        return Prediction(logits[:n], features[:n]), (second + 2 * weak) / 3  # UniMatch's 1 : 2

    def _total(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        factors = {"supervised": 1.0, "unsupervised": self.lambda_clg, "contrast": self.lambda_slg}
        total = torch.stack([factors[name] * value for name, value in losses.items()]).sum()
        return {"loss": total, **{name: value.detach() for name, value in losses.items()}}

    def _supervise(
        self, history: list[Prediction], label: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Sum over rounds of the cross entropy."""
        rounds = self._learners(history)
        return torch.stack([masked_cross_entropy(p.logits, label, weight) for p in rounds]).sum()

    def _learners(self, history: list[Prediction]) -> list[Prediction]:
        """The rounds that learn labels."""
        return history if self.deep or len(history) < 3 else [history[0], history[-1]]

    def _contrast(self, history: list[Prediction], label: Tensor) -> Tensor:
        """Intra- and inter-image contrastive loss, the mean over all rounds."""
        if int(self.step) < self.contrast_step or not self.lambda_slg:
            return label.new_zeros((), dtype=torch.float)
        losses = []
        for prediction in history:
            nodes, target = _nodes(prediction.features, label)
            inter = prototype_loss(nodes, target, self.prototypes.mean, self.prototypes.seen)
            nodes, target = (v.unflatten(0, (len(label), -1)) for v in (nodes, target))
            chosen = torch.randperm(target.size(1))[: self.samples].to(label.device)
            intra = info_nce(nodes[:, chosen], target[:, chosen])
            losses.append(self.inter * inter + self.intra * intra)
        return torch.stack(losses).mean()


def _nodes(features: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Features `(N, D)` of all pixels of the maps, and their labels `(N,)` at the maps' size."""
    return maps_to_nodes(features)[0], resize_labels(label, features.shape[-2:]).flatten()
