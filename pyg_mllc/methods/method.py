"""The contract of all training methods, and what those with a teacher share."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyg_mllc.augment import StrongView, WeakView
from pyg_mllc.data.specs import IGNORE
from pyg_mllc.errors import InputError
from pyg_mllc.losses import upsample
from pyg_mllc.methods.teacher import Teacher
from pyg_mllc.nn import CorrectedSegmenter, Prediction


class Method(nn.Module):
    """What any training loop needs to know of a method.

    Called with a batch, a method gives a dict of scalars: `loss` is to be minimized, the rest is
    for the log. The batch holds `image (B, 3, H, W)` in [0, 1] with `label (B, H, W)`; where
    `uses_unlabeled`, `unlabeled (U, 3, H, W)` with `valid (U, H, W)`, false in padding; for anchors
    `index (B,)`, a number for each labeled image. After each step of the optimizer, call
    `update()`.

    Args:
        student: holds all trained weights.
        weak: makes the weak views.
        decay: of the teacher, the student's moving average; with 0, the student as it is.
    """

    uses_unlabeled = False

    def __init__(
        self, student: CorrectedSegmenter, weak: nn.Module | None = None, decay: float = 0.99
    ) -> None:
        super().__init__()
        self.student, self.teacher = student, Teacher(student, decay)
        self.weak = weak or WeakView()

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError

    def update(self) -> None:
        """Move the teacher towards the student; call it after each optimizer step."""
        self.teacher.update(self.student)

    def predict(self, network: CorrectedSegmenter, images: Tensor) -> list[Prediction]:
        """Predict with student or teacher: before correction, and after each round.

        Args:
            network: `student` or `teacher.network`.
            images: `(B, 3, H, W)` in [0, 1].
        """
        return network(images)

    @torch.no_grad()
    def teach(self, images: Tensor) -> list[Prediction]:
        """Predict with the teacher: before correction, and after each round."""
        return self.predict(self.teacher.network, images)


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
    ) -> None:
        if not 0 <= warmup < 1:
            raise InputError(f"expected method.warmup in [0, 1), got {warmup}")
        super().__init__(student, weak, decay)
        self.strong, self.threshold = strong or StrongView(), threshold
        self.warmup_steps = int(warmup * total_steps)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    @property
    def warming_up(self) -> bool:
        """Whether unlabeled images are left alone for now."""
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
        confidence, label = upsample(history[-1].logits.float(), view.shape[-2:]).softmax(1).max(1)
        return Guess(view, torch.where(known == IGNORE, IGNORE, label), confidence, history[0])

    def trusted(self, guess: Guess) -> Tensor:
        """Share of the pixels, padding aside, whose label is trusted: for the log."""
        valid = guess.label != IGNORE
        return ((guess.confidence >= self.threshold) & valid).sum() / valid.sum().clamp(min=1)
