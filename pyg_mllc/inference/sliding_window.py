"""Predict large images window by window."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from graphs.precision import at_least_float32
from pyg_mllc.nn import Prediction
from pyg_mllc.utils.resize import upsample


def sliding_window(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    window: tuple[int, int],
    overlap: float = 0.5,
) -> Tensor:
    """Predict windows of large images, and average where they overlap.

    Args:
        predict: gives maps `(B, C, h, w)`, of the size of the views `(B, 3, h, w)` that it gets.
        images: `(B, 3, H, W)`.
        window: height and width (h, w); images that are smaller are taken whole.
        overlap: share of a window that its neighbor covers, too, in [0, 1).

    Returns:
        `(B, C, H, W)`.

    >>> sliding_window(lambda view: view[:, :1] * 2, torch.ones(1, 3, 50, 70), (32, 32)).unique()
    tensor([2.])
    """
    size = images.shape[-2:]
    h, w = (min(wanted, there) for wanted, there in zip(window, size, strict=True))
    total: Tensor | None = None
    count = images.new_zeros(1, 1, *size)
    for top in _starts(size[0], h, overlap):
        for left in _starts(size[1], w, overlap):
            place = (..., slice(top, top + h), slice(left, left + w))
            part = predict(images[place])
            if total is None:
                total = part.new_zeros(*part.shape[:2], *size)
            total[place] += part
            count[place] += 1
    assert total is not None
    return total / count


def _starts(length: int, window: int, overlap: float) -> list[int]:
    """Where windows start, evenly spaced from one edge to the other."""
    steps = math.ceil((length - window) / max(int(window * (1 - overlap)), 1))
    return [round(i * (length - window) / max(steps, 1)) for i in range(steps + 1)]


def full_size(
    teach: Callable[[Tensor], list[Prediction]], window: tuple[int, int] | None = None
) -> Callable[[Tensor], list[Tensor]]:
    """Make of a network what `evaluate` takes: probabilities at the size of the images.

    Args:
        teach: images `(B, 3, H, W)` in [0, 1] to predictions, one after each round.
        window: height and width of a sliding window; by default the whole image at once.
    """
    counts: list[int] = []

    def beliefs(view: Tensor) -> Tensor:
        history = teach(view)
        counts[:] = [len(history)]
        return torch.cat(
            [upsample(at_least_float32(p.logits), view.shape[-2:]) for p in history], 1
        )

    def predict(images: Tensor) -> list[Tensor]:
        found = beliefs(images) if window is None else sliding_window(beliefs, images, window)
        return [logits.softmax(1) for logits in found.chunk(counts[0], 1)]

    return predict
