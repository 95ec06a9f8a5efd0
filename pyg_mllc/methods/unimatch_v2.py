"""UniMatch V2: two strong views that lose complementary channels share one teacher label."""

from typing import Any

import torch
from torch import Tensor

from pyg_mllc.losses import masked_cross_entropy
from pyg_mllc.methods.fixmatch import FixMatch
from pyg_mllc.methods.semi_supervised import PseudoLabels
from pyg_mllc.nn import LabelCorrector, Prediction, Segmenter, complementary_dropout


class UniMatchV2(FixMatch):
    r"""Learn two strong views, each without the feature channels that the other one keeps.

    .. math::
        \mathcal{L} = \tfrac12 \big( \mathcal{L}_{sup} + \lambda_u \tfrac12 (
        \mathcal{L}_{s1} + \mathcal{L}_{s2}) \big)

    each unlabeled term as FixMatch's (Yang et al., TPAMI 2025), with `complementary_dropout`.
    The views are those of `strong`; published ones change colors more and paste a box into every
    second image. The published student predicts labeled images apart, here with the strong views.

    Args:
        segmenter: the network to train.
        corrector: corrects the teacher's labels if `correct`; not trained.
        decay: of the teacher; by default as published.
        **options: as `FixMatch`.

    Raises:
        InputError: as `FixMatch`.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        decay: float = 0.996,
        **options: Any,
    ) -> None:
        super().__init__(segmenter, corrector, decay=decay, **options)

    @property
    def share(self) -> float:
        """Factor of the sum of the losses, as published."""
        return 0.5

    def terms(self, image: Tensor, pseudo: PseudoLabels) -> tuple[Prediction, Tensor]:
        """Predict labeled images, and compute the unsupervised loss.

        Args:
            image: see `FixMatch.terms`.
            pseudo: see `FixMatch.terms`.

        Returns:
            The prediction of the labeled images, and the loss.
        """
        first, second = (self.strong(pseudo.view, pseudo.label, pseudo.weight) for _ in range(2))
        prediction, logits = self.student.segmenter.predict_with_dropout(
            image, torch.cat([first[0], second[0]]), complementary_dropout
        )
        both = logits.chunk(2)
        strong = masked_cross_entropy(both[0], *first[1:])
        strong = strong + masked_cross_entropy(both[1], *second[1:])
        return prediction, strong / 2
