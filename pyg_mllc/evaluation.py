"""Measures over a whole split, and what the corrector does to single images."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pyg_mllc.data import Splits
from pyg_mllc.losses import upsample
from pyg_mllc.methods import Method
from pyg_mllc.results import Example


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union per class of a confusion matrix `(C, C)`; NaN for absent classes.

    >>> iou(torch.tensor([[3, 1, 0], [1, 3, 0], [0, 0, 0]]))
    tensor([0.6000, 0.6000,    nan])
    """
    confusion = confusion.cpu().double()
    hit = confusion.diag()
    return (hit / (confusion.sum(0) + confusion.sum(1) - hit)).float()


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


@torch.no_grad()
def correction_examples(method: Method, splits: Splits, count: int = 6) -> list[Example]:
    """Correct the teacher's labels of `count` validation images, evenly spaced over the split."""
    device = next(method.parameters()).device
    places = torch.linspace(0, len(splits.val) - 1, min(count, len(splits.val))).round().int()
    found = []
    for i in places.tolist():
        sample = splits.val[i]
        image = sample["image"]
        history = method.teach(image[None].to(device) / 255)
        belief = [upsample(p.logits, image.shape[-2:])[0].softmax(0).cpu() for p in history]
        confidence, after = belief[-1].max(0)
        before = belief[0].argmax(0)
        found.append(Example(sample["name"], image, sample["label"], before, after, confidence))
    return found
