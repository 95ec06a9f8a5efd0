"""The contract of all training methods."""

from torch import Tensor, nn

from pyg_mllc.methods.teacher import Teacher
from pyg_mllc.nn import CorrectedSegmenter, Prediction


class Method(nn.Module):
    """What any training loop needs to know of a method.

    Called with a batch, a method gives a dict of scalars: `loss` is to be minimized, the rest is
    for the log. The batch holds `image (B, 3, H, W)` in [0, 1] with `label (B, H, W)` and, where
    `uses_unlabeled`, `unlabeled (U, 3, H, W)` with `valid (U, H, W)`, false in padding. After each
    step of the optimizer, call `update()`.

    Args:
        student: holds all trained weights.
        decay: of the teacher, the student's moving average.
    """

    uses_unlabeled = False

    def __init__(self, student: CorrectedSegmenter, decay: float = 0.99) -> None:
        super().__init__()
        self.student, self.teacher = student, Teacher(student, decay)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError

    def update(self) -> None:
        """Move the teacher towards the student; call it after each optimizer step."""
        self.teacher.update(self.student)

    def teach(self, images: Tensor) -> list[Prediction]:
        """Predict with the teacher: before correction, and after each round."""
        return self.teacher(images)
