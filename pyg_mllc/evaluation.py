"""Measures over a whole split, and what the corrector does to single images."""

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
