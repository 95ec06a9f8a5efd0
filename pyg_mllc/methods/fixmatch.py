"""FixMatch for segmentation: a mean teacher's confident labels of strong views."""

import torch
from torch import Tensor, nn

from pyg_mllc.data.batch import Batch
from pyg_mllc.losses import SupervisedLoss, masked_cross_entropy
from pyg_mllc.methods.base import MakeLoss, MakeMemory, without_training
from pyg_mllc.methods.semi_supervised import PseudoLabels, SemiSupervised
from pyg_mllc.nn import LabelCorrector, Prediction, Segmenter


class FixMatch(SemiSupervised):
    r"""Learn strong views with the teacher's confident labels of weak views.

    .. math::
        \mathcal{L} = \mathcal{L}_{sup} + \lambda_u \,
        \mathrm{mean}_i \, [m_i \ge \tau]\, \mathrm{CE}(Z_i, \hat y_i)

    or with another weight than :math:`[m_i \ge \tau]` of the confidence m.
    FixMatch (Sohn et al., 2020) with a mean teacher (Tarvainen and Valpola, 2017) and CutMix
    (French et al., 2020), as the field's baseline is.

    Args:
        segmenter: the network to train.
        corrector: corrects the teacher's labels if `correct`; not trained.
        weak: makes the weak views.
        strong: makes the strong views.
        correct: whether to correct the teacher's labels, and predictions after the training.
        memory: makes what correction needs beside the network, see `without_training`.
        lambda_u: weight of the teacher's labels.
        threshold: tau, confidence from which the teacher's label teaches; 0 for all labels.
        weighting: of a pixel of the teacher's label: `hard`, `power`, `uniform`, `softmatch` or
            `freematch`, see `PseudoLabelWeight`.
        power: exponent of the confidence with `weighting="power"`.
        total_steps: length of the training.
        warmup: share of the training that is supervised only.
        decay: of the teacher.
        supervised_loss: makes the loss of labeled pixels, see `SupervisedLoss`.
        rare_paste: see `Method`.

    Raises:
        InputError: if labels are to be corrected without a corrector or by one whose layers need
            training, `threshold`, `warmup` or `decay` is out of range, or as `SupervisedLoss`.
        ValueError: if `weighting` is no such rule.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        weak: nn.Module | None = None,
        strong: nn.Module | None = None,
        correct: bool = False,
        memory: MakeMemory | None = None,
        lambda_u: float = 1.0,
        threshold: float = 0.95,
        weighting: str = "hard",
        power: float = 6.0,
        total_steps: int = 1000,
        warmup: float = 0.0,
        decay: float = 0.99,
        supervised_loss: MakeLoss = SupervisedLoss,
        rare_paste: float = 0.0,
    ) -> None:
        student, memory = without_training(segmenter, corrector, correct, memory)
        super().__init__(
            student, weak, strong, threshold, total_steps, warmup, decay, memory, supervised_loss,
            weighting, power, rare_paste,
        )  # fmt: skip
        self.lambda_u = lambda_u

    @property
    def share(self) -> float:
        """Factor of the sum of the losses."""
        return 1.0

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of one step.

        Args:
            batch: see `Method`.

        Returns:
            `loss` to minimize; its parts and the share of confident labels, for the log.
        """
        image, label, own_label, _ = self.labeled_views(batch)
        index = batch.get("index")
        if self.in_warmup:
            prediction = self.student.segmenter(image)
            loss = self.supervised_loss(prediction.logits, label)
            self.memory.update(image, prediction, own_label, index)
            return {"loss": self.share * loss, "supervised": loss.detach()}
        pseudo = self.pseudo_labels(batch)
        prediction, unsupervised = self.terms(image, pseudo)
        supervised = self.supervised_loss(prediction.logits, label)
        self.memory.update(image, prediction, own_label, index)
        self.memory.count(pseudo.prediction, pseudo.label)
        return {
            "loss": self.share * (supervised + self.lambda_u * unsupervised),
            "supervised": supervised.detach(),
            "unsupervised": unsupervised.detach(),
            "confident": self.confident_share(pseudo),
        }

    def terms(self, image: Tensor, pseudo: PseudoLabels) -> tuple[Prediction, Tensor]:
        """Predict labeled images, and compute the unsupervised loss.

        Args:
            image: weak views of labeled images `(B, 3, H, W)`.
            pseudo: weak views of unlabeled images, with the teacher's labels.

        Returns:
            The prediction of the labeled images, and the loss.
        """
        strong, mixed, weight = self.strong(pseudo.view, pseudo.label, pseudo.weight)
        # One forward for both parts: batch normalization sees labeled and strong views together.
        logits, features = self.student.segmenter(torch.cat([image, strong]))
        n = len(image)
        return Prediction(logits[:n], features[:n]), masked_cross_entropy(logits[n:], mixed, weight)
