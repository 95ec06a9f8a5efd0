"""FixMatch for segmentation: a mean teacher's confident labels of strong views."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from pyg_mllc.errors import InputError
from pyg_mllc.losses import masked_cross_entropy, pseudo_label_weight
from pyg_mllc.methods.method import Guess, SemiSupervised
from pyg_mllc.methods.sight import FrozenFeatures
from pyg_mllc.nn import CorrectedSegmenter, LabelCorrector, Prediction, Segmenter
from pyg_mllc.nn.conv import GraphLayer


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
        correct: whether to correct the teacher's labels.
        sight: what the corrector's graphs look at, made from the size of the embedding, which
            nothing trains here; by default a frozen encoder's stages.
        lambda_u: weight of the teacher's labels.
        threshold: tau.
        total_steps: length of the training.
        warmup: share of the training that is supervised only.
        decay: of the teacher.

    Raises:
        InputError: if labels are to be corrected without a corrector or by one whose layers need
            training, or `warmup` is out of range.
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
        lambda_u: float = 1.0,
        threshold: float = 0.95,
        total_steps: int = 1000,
        warmup: float = 0.0,
        decay: float = 0.99,
    ) -> None:
        if not correct:
            corrector = LabelCorrector(segmenter.num_classes, rounds=0)
        if corrector is None:
            raise InputError("method.correct=true needs a corrector")
        if _has_random_layers(corrector):
            raise InputError(
                "method.correct=true does not train the corrector, whose layers start at random; "
                "take corrector.conv=affinity and corrector.feature_conv=affinity, or method=mllc"
            )
        student = CorrectedSegmenter(segmenter, corrector.requires_grad_(False))
        super().__init__(student, weak, strong, threshold, total_steps, warmup, decay)
        self.lambda_u = lambda_u
        sight = sight or partial(FrozenFeatures, embedding=False)
        self.sight = sight(feature_dim=segmenter.feature_dim) if correct else None

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the losses of one step, see `Method` for the batch."""
        image, label = self.weak(batch["image"], batch["label"])
        if self.warming_up:
            loss = masked_cross_entropy(self.student.segmenter(image).logits, label)
            return {"loss": self.share * loss, "supervised": loss.detach()}
        guess = self.guess(batch["unlabeled"], batch["valid"])
        weight = pseudo_label_weight(guess.confidence, "hard", self.threshold)
        supervised, unsupervised = self.terms(image, label, guess, weight)
        return {
            "loss": self.share * (supervised + self.lambda_u * unsupervised),
            "supervised": supervised.detach(),
            "unsupervised": unsupervised.detach(),
            "trusted": self.trusted(guess),
        }

    def predict(self, network: CorrectedSegmenter, images: Tensor) -> list[Prediction]:
        """Predict with student or teacher: before correction, and after each round."""
        if self.sight is None:
            return network(images)
        prediction = network.segmenter(images)
        look = self.sight(images, prediction.features)
        return network.correct(prediction, graph_features=look)

    def terms(
        self, image: Tensor, label: Tensor, guess: Guess, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give the supervised and the unsupervised loss.

        Args:
            image: weak views of labeled images `(B, 3, H, W)`.
            label: of them `(B, H, W)`.
            guess: weak views of unlabeled images, with the teacher's labels.
            weight: of these labels `(U, H, W)`.
        """
        strong, mixed, weight = self.strong(guess.view, guess.label, weight)
        # One forward for both parts: batch normalization sees labeled and strong views together.
        logits = self.student.segmenter(torch.cat([image, strong])).logits
        return (
            masked_cross_entropy(logits[: len(image)], label),
            masked_cross_entropy(logits[len(image) :], mixed, weight),
        )


def _has_random_layers(corrector: LabelCorrector) -> bool:
    layers = [module for module in corrector.modules() if isinstance(module, GraphLayer)]
    return any(list(layer.parameters()) for layer in layers)
