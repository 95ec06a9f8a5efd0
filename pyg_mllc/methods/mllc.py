"""Multi-Level Label Correction (Xiao et al., IEEE TMM 2024)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs import maps_to_nodes
from pyg_mllc.augment import StrongView, WeakView
from pyg_mllc.data.specs import IGNORE
from pyg_mllc.errors import InputError
from pyg_mllc.losses import info_nce, masked_cross_entropy, prototype_loss, upsample
from pyg_mllc.methods.method import Method
from pyg_mllc.methods.prototypes import Prototypes
from pyg_mllc.nn import ClassThresholds, CorrectedSegmenter, LabelCorrector, Prediction, Segmenter


class MLLC(Method):
    r"""Learn from labels, and from the teacher's graph-corrected labels of other images.

    .. math::
        \mathcal{L} = \mathcal{L}_{sup} + \lambda_c \mathcal{L}_{clg} + \lambda_s \mathcal{L}_{slg}

    Every round's logits are supervised, by labels on labeled images and by the teacher's labels
    after its last round on strong views of unlabeled ones; embeddings of every round are contrasted
    within an image and against one prototype per class.

    Args:
        segmenter: the network to train.
        corrector: its correction rounds, trained along.
        weak: makes the weak views.
        strong: makes the strong views.
        lambda_clg: weight of the teacher's labels.
        lambda_slg: weight of the contrastive losses.
        power: exponent of the confidence that weights a pixel of the teacher's label.
        samples: pixels per image that the contrastive loss compares.
        total_steps: length of the training.
        warmup: share of the training that is supervised only.
        contrast_from: share of the training from which features are contrasted; not later than
            `warmup`, for corrections need embeddings that mean something.
        decay: of the teacher.
    """

    uses_unlabeled = True
    step: Tensor

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector,
        weak: nn.Module | None = None,
        strong: nn.Module | None = None,
        lambda_clg: float = 1.0,
        lambda_slg: float = 0.1,
        power: float = 6.0,
        samples: int = 256,
        total_steps: int = 1000,
        warmup: float = 0.1,
        contrast_from: float = 0.05,
        decay: float = 0.99,
    ) -> None:
        if not 0 <= contrast_from <= warmup < 1:
            raise InputError(
                "expected 0 <= method.contrast_from <= method.warmup < 1, "
                f"got {contrast_from} and {warmup}"
            )
        super().__init__(CorrectedSegmenter(segmenter, corrector), decay)
        self.thresholds = ClassThresholds(segmenter.num_classes, corrector.threshold)
        self.prototypes = Prototypes(segmenter.num_classes, segmenter.feature_dim)
        self.weak, self.strong = weak or WeakView(), strong or StrongView()
        self.lambda_clg, self.lambda_slg = lambda_clg, lambda_slg
        self.power, self.samples = power, samples
        self.warmup_steps = int(warmup * total_steps)
        self.contrast_step = int(contrast_from * total_steps)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the losses of one step.

        Args:
            batch: `image`, `label`, `unlabeled` and `valid`, see `Method`.
        """
        image, label = self.weak(batch["image"], batch["label"])
        if self.step < self.warmup_steps:
            history = self.student(image, self.thresholds.counts)
            self.thresholds.update(history[0].logits.detach())
            supervised = _deep_loss(history, label)
            slg = self._contrast(history, label)
            self.prototypes.update(*_nodes(history[0].features.detach(), label))
            loss = supervised + self.lambda_slg * slg
            return {"loss": loss, "supervised": supervised.detach(), "contrast": slg.detach()}

        view, pseudo, confidence, taught = self._pseudo_label(batch["unlabeled"], batch["valid"])
        strong, mixed, mixed_confidence = self.strong(view, pseudo, confidence)
        # One forward for both parts: batch normalization sees labeled and strong views together.
        history = self.student(torch.cat([image, strong]), self.thresholds.counts)
        known = [Prediction(*(part[: len(image)] for part in p)) for p in history]
        guessed = [Prediction(*(part[len(image) :] for part in p)) for p in history]
        self.thresholds.update(known[0].logits.detach())
        self.thresholds.update(taught.logits)

        supervised = _deep_loss(known, label)
        clg = _deep_loss(guessed, mixed, mixed_confidence**self.power)
        slg = self._contrast(history, torch.cat([label, mixed]))
        self.prototypes.update(*_nodes(known[0].features.detach(), label))
        self.prototypes.update(*_nodes(taught.features, pseudo))
        valid = pseudo != IGNORE
        trusted = (confidence >= self.thresholds.threshold) & valid
        return {
            "loss": supervised + self.lambda_clg * clg + self.lambda_slg * slg,
            "supervised": supervised.detach(),
            "unsupervised": clg.detach(),
            "contrast": slg.detach(),
            "trusted": trusted.sum() / valid.sum().clamp(min=1),
        }

    def update(self) -> None:
        """Move the teacher towards the student; call it after each optimizer step."""
        super().update()
        self.step += 1

    def teach(self, images: Tensor) -> list[Prediction]:
        """Predict with the teacher: before correction, and after each round."""
        return self.teacher(images, self.thresholds.counts)

    @torch.no_grad()
    def _pseudo_label(
        self, images: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Prediction]:
        """Weak views, the teacher's corrected label and confidence for them, its raw belief."""
        known = torch.where(valid, 0, IGNORE)
        view, known = self.weak(images, known)
        history = self.teach(view)
        confidence, label = upsample(history[-1].logits, view.shape[-2:]).softmax(1).max(1)
        return view, torch.where(known == IGNORE, IGNORE, label), confidence, history[0]

    def _contrast(self, history: list[Prediction], label: Tensor) -> Tensor:
        """Intra- and inter-image contrastive loss, the mean over all rounds."""
        if self.step < self.contrast_step:
            return label.new_zeros((), dtype=torch.float)
        losses = []
        for prediction in history:
            nodes, target = _nodes(prediction.features, label)
            inter = prototype_loss(nodes, target, self.prototypes.mean, self.prototypes.seen)
            nodes, target = (v.unflatten(0, (len(label), -1)) for v in (nodes, target))
            chosen = torch.randperm(target.size(1))[: self.samples].to(label.device)
            losses.append(inter + info_nce(nodes[:, chosen], target[:, chosen]))
        return torch.stack(losses).mean()


def _nodes(features: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Features `(N, D)` of all pixels of the maps, and their labels `(N,)` at the maps' size."""
    small = F.interpolate(label[:, None].float(), features.shape[-2:], mode="nearest-exact")
    return maps_to_nodes(features)[0], small.long().flatten()


def _deep_loss(history: list[Prediction], label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum over rounds of the cross entropy."""
    return torch.stack([masked_cross_entropy(p.logits, label, weight) for p in history]).sum()
