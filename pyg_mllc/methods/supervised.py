"""Learn from the labeled images alone: the baseline of every comparison."""

from torch import Tensor, nn

from pyg_mllc.losses import masked_cross_entropy
from pyg_mllc.methods.method import Method
from pyg_mllc.nn import CorrectedSegmenter, LabelCorrector, Segmenter


class Supervised(Method):
    """Cross entropy on weak views of the labeled images.

    Args:
        segmenter: the network to train.
        corrector: neither trained nor used by this method.
        weak: makes the weak views.
        decay: of the teacher, which takes no part in training here but is evaluated alike.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        weak: nn.Module | None = None,
        decay: float = 0.99,
    ) -> None:
        untouched = LabelCorrector(segmenter.num_classes, rounds=0)
        super().__init__(CorrectedSegmenter(segmenter, untouched), weak, decay)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the losses of `image (B, 3, H, W)` in [0, 1] and `label (B, H, W)`."""
        image, label = self.weak(batch["image"], batch["label"])
        loss = masked_cross_entropy(self.student.segmenter(image).logits, label)
        return {"loss": loss, "supervised": loss.detach()}
