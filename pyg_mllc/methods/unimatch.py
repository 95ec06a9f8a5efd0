"""UniMatch: two strong views and one perturbed in its features, one source of labels."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mllc.losses import masked_cross_entropy
from pyg_mllc.methods.fixmatch import FixMatch
from pyg_mllc.methods.method import Guess
from pyg_mllc.nn import LabelCorrector, Segmenter


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
        super().__init__(segmenter, corrector, decay=decay, **options)
        self.drop = drop

    def terms(
        self, image: Tensor, label: Tensor, guess: Guess, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give the supervised and the unsupervised loss, see `FixMatch`."""
        segmenter = self.student.segmenter
        first, second = (self.strong(guess.view, guess.label, weight) for _ in range(2))
        stages = segmenter.encode(torch.cat([image, first[0], second[0], guess.view]))
        u = len(guess.view)
        clear = [stage[:-u] for stage in stages]
        dropped = [self._perturbed(stage[-u:]) for stage in stages]
        both = [torch.cat(pair) for pair in zip(clear, dropped, strict=True)]
        known, *rest = segmenter.decode(both).logits.split([len(image), u, u, u])
        targets = (first[1:], second[1:], (guess.label, weight))
        parts = [masked_cross_entropy(z, *t) for z, t in zip(rest, targets, strict=True)]
        return masked_cross_entropy(known, label), parts[0] / 4 + parts[1] / 4 + parts[2] / 2

    def _perturbed(self, stage: Tensor) -> Tensor:
        """Drop whole channels of a map; a transformer's tokens stay."""
        return F.dropout2d(stage, self.drop) if stage.dim() == 4 else stage
