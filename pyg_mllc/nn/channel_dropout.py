"""Dropout of whole channels of an encoder's maps, a perturbation of views in feature space."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Dropout = Callable[[list[Tensor]], list[Tensor]]
"""Drops channels of maps `(B, channels, h, w)`, one map a stage of the encoder."""


def channel_dropout(maps: list[Tensor], share: float) -> list[Tensor]:
    """Drop channels at random, of each map and image apart, and scale up those that stay.

    Args:
        maps: `(B, channels, h, w)`.
        share: of the channels that are dropped, in [0, 1).

    Returns:
        The maps, perturbed.
    """
    return [F.dropout2d(x, share) for x in maps]


def complementary_dropout(maps: list[Tensor]) -> list[Tensor]:
    r"""Drop channels from two views of each image so that each channel stays in one of them.

    .. math::
        m_1 = 2\,\mathrm{Bernoulli}(\tfrac12), \qquad m_2 = 2 - m_1

    per image and channel (Yang et al., 2025). Half of the pairs, rounded down, keep all channels:
    both factors are 1. All maps share the factors; narrower maps take the first of them.

    Args:
        maps: `(2U, channels, h, w)`, first views of U images, then second ones.

    Returns:
        The maps, each channel times its factor.
    """
    pairs, width = len(maps[0]) // 2, max(x.size(1) for x in maps)
    first = 2 * maps[0].new_empty(pairs, width, 1, 1).bernoulli_(0.5)
    first[torch.randperm(pairs)[: pairs // 2]] = 1
    factor = torch.cat([first, 2 - first])
    return [x * factor[:, : x.size(1)] for x in maps]
