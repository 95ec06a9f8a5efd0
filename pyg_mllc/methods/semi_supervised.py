"""What methods share that learn from their teacher's labels of unlabeled images."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphs.precision import at_least_float32
from pyg_mllc.errors import InputError
from pyg_mllc.methods.base import Method
from pyg_mllc.nn import CorrectedSegmenter, Prediction
from pyg_mllc.transforms import StrongView
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.resize import upsample


class Guess(NamedTuple):
    """Weak views of unlabeled images, and what the teacher says of them."""

    view: Tensor  # (U, 3, H, W)
    label: Tensor  # (U, H, W), IGNORE in padding
    confidence: Tensor  # (U, H, W)
    belief: Prediction  # before correction, padding included


class SemiSupervised(Method):
    """A method that learns from its teacher's labels of unlabeled images, after a warm-up.

    Args:
        student: holds all trained weights.
        weak: makes the weak views.
        strong: makes the strong views.
        threshold: tau, confidence from which the teacher's label counts as trusted.
        total_steps: length of the training.
        warmup: share of the training that is supervised only.
        decay: of the teacher.
        **graphs: what the corrector's graphs rest on, see `Method`.

    Raises:
        InputError: if `threshold`, `warmup` or `decay` is out of range, or as `Method`.
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
        **graphs: Any,
    ) -> None:
        if not 0 <= warmup < 1:
            raise InputError(f"expected method.warmup in [0, 1), got {warmup}")
        if not 0 <= threshold <= 1:
            raise InputError(f"expected method.threshold in [0, 1], got {threshold}")
        super().__init__(student, weak, decay, **graphs)
        self.strong, self.threshold = strong or StrongView(), threshold
        self.warmup_steps = int(warmup * total_steps)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    @property
    def warming_up(self) -> bool:
        """Whether unlabeled images, and anchors in correction, wait."""
        return int(self.step) < self.warmup_steps

    def update(self) -> None:
        """Move the teacher towards the student; call it after each optimizer step."""
        super().update()
        self.step += 1

    @torch.no_grad()
    def guess(self, images: Tensor, valid: Tensor) -> Guess:
        """Label weak views of `images (U, 3, H, W)`; padding, where not `valid`, gets none."""
        known = torch.where(valid, 0, IGNORE)
        view, known = self.weak(images, known)
        history = self.teach(view)
        logits = upsample(at_least_float32(history[-1].logits), view.shape[-2:])
        confidence, label = logits.softmax(1).max(1)
        return Guess(view, torch.where(known == IGNORE, IGNORE, label), confidence, history[0])

    def trusted(self, guess: Guess) -> Tensor:
        """Share of the pixels, padding aside, whose label is trusted: for the log."""
        valid = guess.label != IGNORE
        return ((guess.confidence >= self.threshold) & valid).sum() / valid.sum().clamp(min=1)


def check_drop(drop: float) -> None:
    """Refuse what is no share of channels that a view may lose."""
    if not 0 <= drop < 1:
        raise InputError(f"expected method.drop in [0, 1), got {drop}")
