"""Multi-Level Label Correction (Xiao et al., IEEE TMM 2024)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn

from graphs import maps_to_nodes
from pyg_mllc.data.batch import Batch
from pyg_mllc.errors import InputError
from pyg_mllc.losses import SupervisedLoss, info_nce, masked_cross_entropy, prototype_loss
from pyg_mllc.methods.base import MakeLoss, MakeMemory
from pyg_mllc.methods.prototypes import Prototypes
from pyg_mllc.methods.semi_supervised import (
    PseudoLabels,
    SemiSupervised,
    check_channel_dropout,
)
from pyg_mllc.nn import (
    CorrectedSegmenter,
    CorrectionMemory,
    CorrectionOutput,
    LabelCorrector,
    Prediction,
    Segmenter,
    channel_dropout,
)
from pyg_mllc.utils.resize import resize_labels


class LossFields(TypedDict, total=False):
    """Options of `LossOptions`, as keyword arguments."""

    lambda_clg: float
    lambda_slg: float
    intra: float
    inter: float
    deep_supervision: bool
    weighting: str
    power: float
    contrast_samples: int


@dataclass(frozen=True)
class LossOptions:
    """Options of the losses of MLLC.

    Args:
        lambda_clg: weight of the teacher's labels.
        lambda_slg: weight of the contrastive losses.
        intra: weight of the contrast within an image, in the contrastive loss.
        inter: weight of the contrast against prototypes.
        deep_supervision: supervise every round, not the segmenter's own logits and the last round's
            alone.
        weighting: of a pixel of the teacher's label: `hard`, `power`, `uniform`, `softmatch` or
            `freematch`, see `PseudoLabelWeight`.
        power: exponent of the confidence with `weighting="power"`.
        contrast_samples: pixels per image that are contrasted within it.
    """

    lambda_clg: float = 1.0
    lambda_slg: float = 0.1
    intra: float = 1.0
    inter: float = 1.0
    deep_supervision: bool = True
    weighting: str = "power"
    power: float = 6.0
    contrast_samples: int = 256


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
        memory: makes what correction needs beside the network, see `CorrectionMemory`; by default
            without anchors and frozen encoder, as published.
        student_anchors: whether anchors take part in the student's own rounds in training, too, not
            in the teacher's and at prediction alone.
        channel_dropout: share of channels that the encoder's maps of a weak view lose. That view
            and a second strong one then teach the segmenter's own logits as well, as in `UniMatch`:
            of the weight of the teacher's labels a half stays with the first strong view and all
            its rounds, a sixth goes to the second and a third to the perturbed one. 0 for neither.
        total_steps: length of the training.
        warmup: share of the training that is supervised only.
        contrast_from: share of the training from which features are contrasted; best not later
            than `warmup`, for corrections need embeddings that mean something.
        decay: of the teacher.
        supervised_loss: makes the loss of labeled pixels, see `SupervisedLoss`.
        rare_paste: see `Method`.
        **losses: options of `LossOptions`.

    Raises:
        InputError: if `contrast_from`, `channel_dropout`, `warmup` or `decay` is out of range, or
            as `CorrectionMemory` and `SupervisedLoss`.
        ValueError: if `weighting` is no such rule.
        TypeError: if there is no such option.
    """

    trains_embedding = True

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector,
        weak: nn.Module | None = None,
        strong: nn.Module | None = None,
        *,
        memory: MakeMemory = CorrectionMemory,
        student_anchors: bool = True,
        channel_dropout: float = 0.0,
        total_steps: int = 1000,
        warmup: float = 0.1,
        contrast_from: float = 0.05,
        decay: float = 0.99,
        supervised_loss: MakeLoss = SupervisedLoss,
        rare_paste: float = 0.0,
        **losses: Unpack[LossFields],
    ) -> None:
        if not 0 <= contrast_from <= 1:
            raise InputError(f"expected method.contrast_from in [0, 1], got {contrast_from}")
        check_channel_dropout(channel_dropout)
        student, tau = CorrectedSegmenter(segmenter, corrector), corrector.options.threshold
        options = LossOptions(**losses)
        super().__init__(
            student, weak, strong, tau, total_steps, warmup, decay, memory, supervised_loss,
            options.weighting, options.power, rare_paste,
        )  # fmt: skip
        self.prototypes = Prototypes(segmenter.num_classes, segmenter.feature_dim)
        self.student_anchors, self.channel_dropout = student_anchors, channel_dropout
        self.losses = options
        self.contrast_step = int(contrast_from * total_steps)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of one step.

        Args:
            batch: see `Method`; `index` only with anchors.

        Returns:
            `loss` to minimize; its parts and the share of confident labels, for the log.
        """
        image, label, own_label, number = self.labeled_views(batch)
        index = batch.get("index")
        if self.in_warmup:
            output, maps = self._correct(image, self.student.segmenter(image), number)
            self.memory.update(image, output.before, own_label, index, maps)
            losses = {"supervised": self._supervise(output, self.supervised_loss, label)}
            losses["contrast"] = self._contrast(output, label)
            self.prototypes.update(*_nodes(output.before.features.detach(), own_label))
            return self._total(losses)

        pseudo = self.pseudo_labels(batch)
        strong, mixed, mixed_weight = self.strong(pseudo.view, pseudo.label, pseudo.weight)
        n, numbers = len(image), None
        if number is not None:
            numbers = torch.cat([number, number.new_full((len(strong), *number.shape[1:]), -1)])
        # One forward for both parts: batch normalization sees labeled and strong views together.
        views = torch.cat([image, strong])
        prediction, perturbed = self._predict(views, pseudo)
        output, maps = self._correct(views, prediction, numbers)
        labeled, unlabeled = _images(output, slice(n)), _images(output, slice(n, None))
        maps = None if maps is None else maps[:n]
        self.memory.update(image, labeled.before, own_label, index, maps)
        self.memory.count(pseudo.prediction, pseudo.label)
        unsupervised = self._supervise(unlabeled, masked_cross_entropy, mixed, mixed_weight)
        if perturbed is not None:  # as much as the first view, over all of its rounds
            unsupervised = (unsupervised + len(self._supervised_rounds(output)) * perturbed) / 2
        losses = {
            "supervised": self._supervise(labeled, self.supervised_loss, label),
            "unsupervised": unsupervised,
            "contrast": self._contrast(output, torch.cat([label, mixed])),
        }
        x, y = _nodes(labeled.before.features.detach(), own_label)
        u, v = _nodes(pseudo.prediction.features, pseudo.label)
        self.prototypes.update(torch.cat([x, u]), torch.cat([y, v]))
        return {**self._total(losses), "confident": self.confident_share(pseudo)}

    def _correct(
        self, views: Tensor, prediction: Prediction, index: Tensor | None
    ) -> tuple[CorrectionOutput, Tensor | None]:
        """Correct the student's prediction; also return the frozen encoder's maps, if there are."""
        context = self.memory.context(views, prediction, index, use_evidence=False)
        if not self.student_anchors:
            context = context._replace(anchors=None, image=None)
        return self.student.correct(prediction, context), context.graph_features

    def _predict(self, views: Tensor, pseudo: PseudoLabels) -> tuple[Prediction, Tensor | None]:
        """Predict the views; with `channel_dropout`, also return the loss of UniMatch's views."""
        segmenter = self.student.segmenter
        if not self.channel_dropout:
            return segmenter(views), None
        targets = pseudo.label, pseudo.weight
        strong, mixed, mixed_weight = self.strong(pseudo.view, *targets)
        clear = torch.cat([views, strong])
        (logits, features), dropped = segmenter.predict_with_dropout(
            clear, pseudo.view, partial(channel_dropout, share=self.channel_dropout)
        )
        n = len(views)
        second = masked_cross_entropy(logits[n:], mixed, mixed_weight)
        weak = masked_cross_entropy(dropped, *targets)
        return Prediction(logits[:n], features[:n]), (second + 2 * weak) / 3  # UniMatch's 1 : 2

    def _total(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        factors = {
            "supervised": 1.0,
            "unsupervised": self.losses.lambda_clg,
            "contrast": self.losses.lambda_slg,
        }
        total = torch.stack([factors[name] * value for name, value in losses.items()]).sum()
        return {"loss": total, **{name: value.detach() for name, value in losses.items()}}

    def _supervise(
        self, output: CorrectionOutput, loss: Callable[..., Tensor], *targets: Tensor
    ) -> Tensor:
        """Sum over rounds of the loss of the logits."""
        rounds = self._supervised_rounds(output)
        return torch.stack([loss(p.logits, *targets) for p in rounds]).sum()

    def _supervised_rounds(self, output: CorrectionOutput) -> list[Prediction]:
        if self.losses.deep_supervision or not output.rounds:
            return list(output)
        return [output.before, output.after]

    def _contrast(self, output: CorrectionOutput, label: Tensor) -> Tensor:
        """Intra- and inter-image contrastive loss, the mean over all rounds."""
        options = self.losses
        if int(self.step) < self.contrast_step or not options.lambda_slg:
            return label.new_zeros((), dtype=torch.float)
        losses = []
        for prediction in output:
            nodes, target = _nodes(prediction.features, label)
            inter = prototype_loss(nodes, target, self.prototypes.mean, self.prototypes.seen)
            nodes, target = (v.unflatten(0, (len(label), -1)) for v in (nodes, target))
            chosen = torch.randperm(target.size(1))[: options.contrast_samples].to(label.device)
            intra = info_nce(nodes[:, chosen], target[:, chosen])
            losses.append(options.inter * inter + options.intra * intra)
        return torch.stack(losses).mean()


def _images(output: CorrectionOutput, images: slice) -> CorrectionOutput:
    """Return the output of a part of the batch."""
    before, *rounds = (Prediction(p.logits[images], p.features[images]) for p in output)
    return CorrectionOutput(before, tuple(rounds))


def _nodes(features: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return features `(N, D)` of all pixels of the maps, and their labels `(N,)` at that size."""
    return maps_to_nodes(features)[0], resize_labels(label, features.shape[-2:]).flatten()
