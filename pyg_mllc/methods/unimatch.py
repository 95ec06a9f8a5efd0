"""UniMatch: two strong views and one view with dropped features share one teacher label."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyg_mllc.losses import masked_cross_entropy
from pyg_mllc.methods.fixmatch import FixMatch
from pyg_mllc.methods.semi_supervised import PseudoLabels, check_channel_dropout
from pyg_mllc.nn import LabelCorrector, Prediction, Segmenter, channel_dropout


class UniMatch(FixMatch):
    r"""Learn two strong views, and the weak view with half of its feature channels dropped.

    .. math::
        \mathcal{L} = \tfrac12 \big( \mathcal{L}_{sup} + \lambda_u (
        \tfrac14 \mathcal{L}_{s1} + \tfrac14 \mathcal{L}_{s2} + \tfrac12 \mathcal{L}_{fp}) \big)

    each unlabeled term as FixMatch's (Yang et al., CVPR 2023, eq. 6).

    Args:
        segmenter: the network to train.
        corrector: corrects the labels if `correct`; not trained.
        channel_dropout: share of the channels of each of the encoder's maps that the
            perturbation drops.
        decay: of the teacher; 0, as published, labels with the present student.
        **options: as `FixMatch`.

    Raises:
        InputError: as `FixMatch`, or if `channel_dropout` is out of range.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        channel_dropout: float = 0.5,
        decay: float = 0.0,
        **options: Any,
    ) -> None:
        check_channel_dropout(channel_dropout)
        super().__init__(segmenter, corrector, decay=decay, **options)
        self.channel_dropout = channel_dropout

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
        targets = self.targets(pseudo)
        first, second = (self.strong(pseudo.view, *targets) for _ in range(2))
        clear = torch.cat([image, first[0], second[0]])
        dropout = partial(channel_dropout, share=self.channel_dropout)
        (logits, features), perturbed = self.student.segmenter.predict_with_dropout(
            clear, pseudo.view, dropout
        )
        n = len(image)
        labeled, *both = logits.split([n, len(first[0]), len(second[0])])
        strong = self.view_loss(both[0], *first[1:]) + self.view_loss(both[1], *second[1:])
        weak = self.view_loss(perturbed, *targets)
        return Prediction(labeled, features[:n]), strong / 4 + weak / 2

    def targets(self, pseudo: PseudoLabels) -> tuple[Tensor, ...]:
        """Return what weak views teach, which strong views mix as they mix the images.

        Args:
            pseudo: see `FixMatch.terms`.

        Returns:
            Maps `(U, H, W)`, the arguments of `view_loss`.
        """
        return pseudo.label, pseudo.weight

    def view_loss(self, logits: Tensor, label: Tensor, weight: Tensor, *more: Tensor) -> Tensor:
        """Compute the loss of a view.

        Args:
            logits: `(U, C, h, w)`.
            label: `(U, H, W)`.
            weight: of the label `(U, H, W)`.
            *more: further maps of `targets`, if a subclass adds some.

        Returns:
            A scalar.
        """
        return masked_cross_entropy(logits, label, weight)
