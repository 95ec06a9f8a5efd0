"""Learn from the labeled images alone: the baseline of every comparison."""

from torch import Tensor, nn

from pyg_mllc.data.batch import Batch
from pyg_mllc.losses import SupervisedLoss
from pyg_mllc.methods.base import MakeLoss, MakeMemory, Method, without_training
from pyg_mllc.nn import LabelCorrector, Segmenter


class Supervised(Method):
    """Cross entropy on weak views of the labeled images.

    Args:
        segmenter: the network to train.
        corrector: corrects predictions if `correct`; not trained.
        weak: makes the weak views.
        correct: whether to correct predictions; training stays as it is.
        memory: makes what correction needs beside the network, see `without_training`.
        decay: of the teacher, which takes no part in training here but is evaluated alike.
        supervised_loss: makes the loss of labeled pixels, see `SupervisedLoss`.
        rare_paste: see `Method`.

    Raises:
        InputError: as `without_training` and `Method`.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        weak: nn.Module | None = None,
        correct: bool = False,
        memory: MakeMemory | None = None,
        decay: float = 0.99,
        supervised_loss: MakeLoss = SupervisedLoss,
        rare_paste: float = 0.0,
    ) -> None:
        student, memory = without_training(segmenter, corrector, correct, memory)
        super().__init__(student, weak, decay, memory, supervised_loss, rare_paste)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of one step.

        Args:
            batch: see `Method`.

        Returns:
            `loss` to minimize, and the same as `supervised`, for the log.
        """
        image, label, own_label, _ = self.labeled_views(batch)
        prediction = self.student.segmenter(image)
        loss = self.supervised_loss(prediction.logits, label)
        self.memory.update(image, prediction, own_label, batch.get("index"))
        return {"loss": loss, "supervised": loss.detach()}
