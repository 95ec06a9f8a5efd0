"""Learn from the labeled images alone: the baseline of every comparison."""

from torch import Tensor, nn

from pyg_mllc.augment import WeakView
from pyg_mllc.losses import masked_cross_entropy
from pyg_mllc.methods.teacher import Teacher
from pyg_mllc.nn import CorrectedSegmenter, LabelCorrector, Prediction, Segmenter


class Supervised(nn.Module):
    """Cross entropy on weak views of the labeled images.

    The contract of every method: called with a batch it gives the losses of one step, `loss` being
    the one to minimize; after the optimizer's step, `update()` moves the teacher. `student` holds
    all trained weights; `uses_unlabeled` tells whether batches need unlabeled images.

    Args:
        segmenter: the network to train.
        corrector: not trained and not used by this method.
        weak: makes the weak views.
        decay: of the teacher, which takes no part in training here but is evaluated alike.
    """

    uses_unlabeled = False

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        weak: nn.Module | None = None,
        decay: float = 0.99,
    ) -> None:
        super().__init__()
        untouched = LabelCorrector(segmenter.num_classes, rounds=0)
        self.student = CorrectedSegmenter(segmenter, untouched)
        self.teacher = Teacher(self.student, decay)
        self.weak = weak or WeakView()

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the losses of `image (B, 3, H, W)` in [0, 1] and `label (B, H, W)`."""
        image, label = self.weak(batch["image"], batch["label"])
        [prediction] = self.student(image)
        loss = masked_cross_entropy(prediction.logits, label)
        return {"loss": loss, "supervised": loss.detach()}

    def update(self) -> None:
        """Move the teacher towards the student; call it after each optimizer step."""
        self.teacher.update(self.student)

    def teach(self, images: Tensor) -> list[Prediction]:
        """Predict with the teacher: before correction, and after each round (here none)."""
        return self.teacher(images)
