"""Predict large images window by window."""

import math
from collections.abc import Callable, Iterable

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
        predict: returns maps `(..., h, w)` of the size of the views `(B, 3, h, w)` that it gets.
        images: `(B, 3, H, W)`.
        window: height and width (h, w); images that are smaller are taken whole.
        overlap: share of a window that its neighbor covers, too, in [0, 1).

    Returns:
        `(..., H, W)`.

    >>> sliding_window(lambda view: view[:, :1] * 2, torch.ones(1, 3, 50, 70), (32, 32)).unique()
    tensor([2.])
    """
    size = images.shape[-2:]
    h, w = (min(pair) for pair in zip(window, size, strict=True))
    total: Tensor | None = None
    count = images.new_zeros(size)
    for top in _starts(size[0], h, overlap):
        for left in _starts(size[1], w, overlap):
            place = (..., slice(top, top + h), slice(left, left + w))
            part = predict(images[place])
            if total is None:
                total = part.new_zeros(*part.shape[:-2], *size)
            total[place] += part
            count[place] += 1
    assert total is not None
    return total / count


def _starts(length: int, window: int, overlap: float) -> list[int]:
    """Return where windows start, evenly spaced from one edge to the other."""
    steps = math.ceil((length - window) / max(int(window * (1 - overlap)), 1))
    return [round(i * (length - window) / max(steps, 1)) for i in range(steps + 1)]


def full_size(
    predict: Callable[[Tensor], Iterable[Prediction]], window: tuple[int, int] | None = None
) -> Callable[[Tensor], list[Tensor]]:
    """Return a function that predicts probabilities at the size of the images, for `evaluate`.

    Args:
        predict: images `(B, 3, H, W)` in [0, 1] to predictions, such as a `CorrectionOutput`.
        window: height and width of a sliding window; by default the whole image at once.

    Returns:
        A function of images to probabilities `(B, C, H, W)`, one for each prediction.
    """

    def logits(view: Tensor) -> Tensor:
        size = view.shape[-2:]
        return torch.stack([upsample(at_least_float32(p.logits), size) for p in predict(view)])

    def probabilities(images: Tensor) -> list[Tensor]:
        maps = logits(images) if window is None else sliding_window(logits, images, window)
        return [z.softmax(1) for z in maps]

    return probabilities
