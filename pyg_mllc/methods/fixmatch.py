"""FixMatch for segmentation: a mean teacher's confident labels of strong views."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pyg_mllc.data.batch import Batch
from pyg_mllc.losses import masked_cross_entropy, pseudo_label_weight
from pyg_mllc.methods.semi_supervised import Guess, SemiSupervised
from pyg_mllc.methods.untrained import untrained
from pyg_mllc.nn import LabelCorrector, Prediction, Segmenter
from pyg_mllc.nn.frozen_features import FrozenFeatures


class FixMatch(SemiSupervised):
    r"""Learn strong views with the labels that a teacher gives to weak ones, where it is sure.

    .. math::
        \mathcal{L} = \mathcal{L}_{sup} + \lambda_u \,
        \mathrm{mean}_i \, [m_i \ge \tau]\, \mathrm{CE}(Z_i, \hat y_i)

    FixMatch (Sohn et al., 2020) with a mean teacher (Tarvainen and Valpola, 2017) and CutMix
    (French et al., 2020), as the field's baseline is.

    Args:
        segmenter: the network to train.
        corrector: corrects the teacher's labels if `correct`; not trained.
        weak: makes the weak views.
        strong: makes the strong views.
        correct: whether to correct the teacher's labels, and what is predicted.
        sight: what the corrector's graphs look at, see `untrained`.
        anchors: labeled pixels kept as anchors for the corrector, see `Method`.
        thresholds: of trust per class in the corrector, likewise.
        lambda_u: weight of the teacher's labels.
        threshold: tau, confidence from which the teacher's label teaches; 0 for all labels.
        total_steps: length of the training.
        warmup: share of the training that is supervised only.
        decay: of the teacher.

    Raises:
        InputError: if labels are to be corrected without a corrector or by one whose layers need
            training, or `threshold`, `warmup` or `decay` is out of range.
    """

    share = 1.0  # of the loss

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        weak: nn.Module | None = None,
        strong: nn.Module | None = None,
        correct: bool = False,
        sight: Callable[..., FrozenFeatures] | None = None,
        anchors: int = 0,
        thresholds: str = "fixed",
        lambda_u: float = 1.0,
        threshold: float = 0.95,
        total_steps: int = 1000,
        warmup: float = 0.0,
        decay: float = 0.99,
    ) -> None:
        student, graphs = untrained(segmenter, corrector, correct, sight, anchors, thresholds)
        super().__init__(student, weak, strong, threshold, total_steps, warmup, decay, **graphs)
        self.lambda_u = lambda_u

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Give the losses of one step, see `Method` for the batch."""
        image, label = self.weak(batch["image"], batch["label"])
        if self.warming_up:
            prediction = self.student.segmenter(image)
            loss = masked_cross_entropy(prediction.logits, label)
            self.remember(image, prediction, label, batch)
            return {"loss": self.share * loss, "supervised": loss.detach()}
        guess = self.guess(batch["unlabeled"], batch["valid"])
        weight = pseudo_label_weight(guess.confidence, "hard", self.threshold)
        prediction, unsupervised = self.terms(image, guess, weight)
        supervised = masked_cross_entropy(prediction.logits, label)
        self.remember(image, prediction, label, batch)
        self.count_confident(guess.belief, guess.label)
        return {
            "loss": self.share * (supervised + self.lambda_u * unsupervised),
            "supervised": supervised.detach(),
            "unsupervised": unsupervised.detach(),
            "trusted": self.trusted(guess),
        }

    def terms(self, image: Tensor, guess: Guess, weight: Tensor) -> tuple[Prediction, Tensor]:
        """Predict labeled images, and give the unsupervised loss.

        Args:
            image: weak views of labeled images `(B, 3, H, W)`.
            guess: weak views of unlabeled images, with the teacher's labels.
            weight: of these labels `(U, H, W)`.
        """
        strong, mixed, weight = self.strong(guess.view, guess.label, weight)
        # One forward for both parts: batch normalization sees labeled and strong views together.
        logits, features = self.student.segmenter(torch.cat([image, strong]))
        n = len(image)
        return Prediction(logits[:n], features[:n]), masked_cross_entropy(logits[n:], mixed, weight)
