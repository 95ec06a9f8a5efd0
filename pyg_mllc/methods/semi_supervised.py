"""Base class of methods that learn from their teacher's labels of unlabeled images."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from graphs.precision import at_least_float32
from pyg_mllc.data.batch import Batch
from pyg_mllc.errors import InputError
from pyg_mllc.losses import SupervisedLoss
from pyg_mllc.methods.base import MakeLoss, MakeMemory, Method
from pyg_mllc.methods.pseudo_label_weight import PseudoLabelWeight
from pyg_mllc.nn import CorrectedSegmenter, CorrectionMemory, Prediction
from pyg_mllc.transforms import StrongView
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.resize import upsample


class PseudoLabels(NamedTuple):
    """Weak views of unlabeled images, and the labels that the teacher gives them."""

    view: Tensor  # (U, 3, H, W)
    label: Tensor  # (U, H, W), after correction; IGNORE in padding
    confidence: Tensor  # (U, H, W), probability of that label
    weight: Tensor  # (U, H, W), of that label in losses
    prediction: Prediction  # before correction, padding included


class SemiSupervised(Method):
    """Method that learns from its teacher's labels of unlabeled images, after a warm-up.

    Args:
        student: holds all trained weights.
        weak: makes the weak views.
        strong: makes the strong views.
        threshold: tau, confidence from which the teacher's label counts as confident.
        total_steps: length of the training.
        warmup: share of the training that is supervised only.
        decay: of the teacher.
        memory: see `Method`.
        supervised_loss: see `Method`.
        weighting: of a pixel of the teacher's label, a rule of `PseudoLabelWeight`.
        power: exponent of the confidence with `weighting="power"`.
        rare_paste: see `Method`.

    Raises:
        InputError: if `threshold`, `warmup` or `decay` is out of range, or as `Method`.
        ValueError: if `weighting` is no such rule.
    """

    uses_unlabeled = True
    step: Tensor

    def __init__(
        self,
        student: CorrectedSegmenter,
        weak: nn.Module | None,
        strong: nn.Module | None,
        threshold: float,
        total_steps: int,
        warmup: float,
        decay: float,
        memory: MakeMemory = CorrectionMemory,
        supervised_loss: MakeLoss = SupervisedLoss,
        weighting: str = "hard",
        power: float = 6.0,
        rare_paste: float = 0.0,
    ) -> None:
        if not 0 <= warmup < 1:
            raise InputError(f"expected method.warmup in [0, 1), got {warmup}")
        if not 0 <= threshold <= 1:
            raise InputError(f"expected method.threshold in [0, 1], got {threshold}")
        super().__init__(student, weak, decay, memory, supervised_loss, rare_paste)
        classes = student.segmenter.num_classes
        self.weighting = PseudoLabelWeight(classes, weighting, threshold, power)
        self.strong, self.threshold = strong or StrongView(), threshold
        self.warmup_steps = int(warmup * total_steps)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.memory.active.fill_(not self.in_warmup)

    @property
    def in_warmup(self) -> bool:
        """True while training is supervised only and correction uses no anchors."""
        return int(self.step) < self.warmup_steps

    def update(self) -> None:
        """Move the teacher towards the student; call it after each optimizer step."""
        super().update()
        self.step += 1
        self.memory.active.fill_(not self.in_warmup)

    @torch.no_grad()
    def pseudo_labels(self, batch: Batch) -> PseudoLabels:
        """Label weak views of unlabeled images with the teacher.

        Evidence is that of the images as they are, and follows them into the views.

        Args:
            batch: with unlabeled images; padding gets no label.

        Returns:
            Weak views, the teacher's labels, their confidence and their weight.
        """
        images, known = batch["unlabeled"], torch.where(batch["valid"], 0, IGNORE)
        index, maps = batch.get("unlabeled_index"), list[Tensor]()
        if self.memory.has_evidence:
            maps = [upsample(self.memory.evidence_of(images, index), images.shape[-2:])]
        view, known, *maps = self.weak(images, known, *maps)
        output = self.predict_teacher(view, *maps)
        label, probabilities = label_pixels(output.logits, known)
        weight = self.weighting(probabilities, label)
        return PseudoLabels(view, label, probabilities.amax(1), weight, output.before)

    def confident_share(self, pseudo: PseudoLabels) -> Tensor:
        """Compute the share of confident labels among pixels outside padding, for the log.

        Args:
            pseudo: of `pseudo_labels`.

        Returns:
            A scalar in [0, 1].
        """
        valid = pseudo.label != IGNORE
        confident = (pseudo.confidence >= self.threshold) & valid
        return confident.sum() / valid.sum().clamp(min=1)


def label_pixels(logits: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the labels of images from logits.

    Args:
        logits: `(U, C, h, w)`, upsampled to the images' size.
        known: `(U, H, W)`, IGNORE in padding, which gets no label.

    Returns:
        Labels `(U, H, W)` and probabilities `(U, C, H, W)`.
    """
    logits = upsample(at_least_float32(logits), known.shape[-2:])
    probabilities = logits.softmax(1)
    return torch.where(known == IGNORE, IGNORE, probabilities.argmax(1)), probabilities


def check_channel_dropout(share: float) -> None:
    """Check that a share of channels to drop is in [0, 1).

    Args:
        share: value of the option.

    Raises:
        InputError: if it is out of range.
    """
    if not 0 <= share < 1:
        raise InputError(f"expected method.channel_dropout in [0, 1), got {share}")
