"""UniMatch: two strong views and one perturbed in its features, one source of labels."""

from typing import Any

import torch
from torch import Tensor

from pyg_mllc.losses import masked_cross_entropy
from pyg_mllc.methods.fixmatch import FixMatch
from pyg_mllc.methods.semi_supervised import Guess, check_drop
from pyg_mllc.nn import LabelCorrector, Prediction, Segmenter


class UniMatch(FixMatch):
    r"""Learn two strong views, and the weak one with half of its features dropped.

    .. math::
        \mathcal{L} = \tfrac12 \big( \mathcal{L}_{sup} + \lambda_u (
        \tfrac14 \mathcal{L}_{s1} + \tfrac14 \mathcal{L}_{s2} + \tfrac12 \mathcal{L}_{fp}) \big)

    each unlabeled term as FixMatch's (Yang et al., CVPR 2023, eq. 6).

    Args:
        segmenter: the network to train.
        corrector: corrects the labels if `correct`; not trained.
        drop: share of the channels of each of the encoder's maps that the perturbation drops.
        decay: of the teacher; the published form labels with the student as it is, thus 0.
        **options: as `FixMatch`.

    Raises:
        InputError: as `FixMatch`, or if `drop` is out of range.
    """

    share = 0.5

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        drop: float = 0.5,
        decay: float = 0.0,
        **options: Any,
    ) -> None:
        check_drop(drop)
        super().__init__(segmenter, corrector, decay=decay, **options)
        self.drop = drop

    def terms(self, image: Tensor, guess: Guess, weight: Tensor) -> tuple[Prediction, Tensor]:
        """Predict labeled images, and give the unsupervised loss, see `FixMatch`."""
        first, second = (self.strong(guess.view, guess.label, weight) for _ in range(2))
        clear = torch.cat([image, first[0], second[0]])
        (logits, features), lossy = self.student.segmenter.predict_lossy(
            clear, guess.view, self.drop
        )
        n = len(image)
        known, one, two = logits.split([n, len(first[0]), len(second[0])])
        strong = masked_cross_entropy(one, *first[1:]) + masked_cross_entropy(two, *second[1:])
        weak = masked_cross_entropy(lossy, guess.label, weight)
        return Prediction(known, features[:n]), strong / 4 + weak / 2
