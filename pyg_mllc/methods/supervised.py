"""Learn from the labeled images alone: the baseline of every comparison."""

from collections.abc import Callable

from torch import Tensor, nn

from pyg_mllc.data.batch import Batch
from pyg_mllc.losses import masked_cross_entropy
from pyg_mllc.methods.base import Method
from pyg_mllc.methods.untrained import untrained
from pyg_mllc.nn import LabelCorrector, Segmenter
from pyg_mllc.nn.frozen_features import FrozenFeatures


class Supervised(Method):
    """Cross entropy on weak views of the labeled images.

    Args:
        segmenter: the network to train.
        corrector: corrects what is predicted if `correct`; not trained.
        weak: makes the weak views.
        correct: whether to correct what is predicted; training stays as it is.
        sight: what the corrector's graphs look at, see `untrained`.
        anchors: labeled pixels kept as anchors for the corrector, see `Method`.
        thresholds: of trust per class in the corrector, likewise.
        decay: of the teacher, which takes no part in training here but is evaluated alike.

    Raises:
        InputError: see `untrained`.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        weak: nn.Module | None = None,
        correct: bool = False,
        sight: Callable[..., FrozenFeatures] | None = None,
        anchors: int = 0,
        thresholds: str = "fixed",
        decay: float = 0.99,
    ) -> None:
        student, graphs = untrained(segmenter, corrector, correct, sight, anchors, thresholds)
        super().__init__(student, weak, decay, **graphs)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Give the losses of one step, see `Method` for the batch."""
        image, label = self.weak(batch["image"], batch["label"])
        prediction = self.student.segmenter(image)
        loss = masked_cross_entropy(prediction.logits, label)
        self.remember(image, prediction, label, batch)
        return {"loss": loss, "supervised": loss.detach()}
