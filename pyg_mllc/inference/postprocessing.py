"""Labels and their probabilities from logits, computed class by class to save memory."""

from collections.abc import Iterable

import torch
from torch import Tensor

from pyg_mllc.utils.resize import upsample


def label_map(logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Compute labels and their probabilities at any size, without C maps of that size in memory.

    Args:
        logits: `(C, h, w)`.
        size: height and width (H, W).

    Returns:
        Labels and their probabilities, `(H, W)` each.

    >>> label_map(torch.tensor([0.0, 2.0]).view(2, 1, 1), (1, 2))
    (tensor([[1, 1]]), tensor([[0.8808, 0.8808]]))
    """
    label, best, total = softmax_of(upsample(low[None, None], size)[0, 0] for low in logits)
    return label, (best - total).exp()


def softmax_of(maps: Iterable[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Compute labels and the terms of their log-probabilities, class by class.

    Args:
        maps: logits `(H, W)` of one class after the other, of which only one is held at a time.

    Returns:
        The class of the largest logit, that logit, and the log of the sum of exponentials, `(H, W)`
        each.
    """
    label = best = rest = torch.empty(0)  # rest: sum of exp(z - best)
    for number, z in enumerate(maps):
        if not number:
            label, best, rest = torch.zeros_like(z, dtype=torch.long), z, torch.ones_like(z)
            continue
        label = torch.where(z > best, number, label)
        higher = torch.maximum(z, best)
        rest = rest * (best - higher).exp() + (z - higher).exp()
        best = higher
    return label, best, best + rest.log()
