"""Conversion of labels to logits."""

import math

import torch
from torch import Tensor


def label_margin(num_classes: int, label_confidence: float) -> float:
    r"""Compute how far a label's logit exceeds the others: :math:`\log(b\,(C - 1) / (1 - b))`.

    Args:
        num_classes: C.
        label_confidence: b, prior probability that a label is correct.

    Returns:
        The margin, above 0.

    Raises:
        ValueError: if there are fewer than two classes, or b is not between chance and 1.
    """
    if num_classes < 2 or not 1 / num_classes < label_confidence < 1:
        raise ValueError(
            "expected 2 classes or more, and label_confidence between chance, 1 / classes, and 1, "
            f"got {num_classes} classes and label_confidence={label_confidence}"
        )
    return math.log(label_confidence * (num_classes - 1) / (1 - label_confidence))


def label_logits(label: Tensor, num_classes: int, label_confidence: float = 0.8) -> Tensor:
    r"""Compute logits whose softmax gives each label its prior probability.

    .. math::
        Z_{ic} = [y_i = c] \, \log \frac{b\,(C - 1)}{1 - b}

    so that softmax gives b to the label and the rest in equal parts to the other classes.

    Args:
        label: `(...)`, class numbers; any other number, such as 255 for void, gets logits of 0,
            which say nothing.
        num_classes: C, at least 2.
        label_confidence: b, prior probability that a label is correct, above chance and below 1.
            Above the corrector's threshold, labels count as confident and hardly move.

    Returns:
        `(..., C)`.

    Raises:
        ValueError: if there are fewer than two classes, or b is out of range.

    >>> label_logits(torch.tensor([1, 255]), num_classes=2, label_confidence=0.9).softmax(-1)
    tensor([[0.1000, 0.9000],
            [0.5000, 0.5000]])
    """
    margin = label_margin(num_classes, label_confidence)
    return margin * (label[..., None] == torch.arange(num_classes, device=label.device)).float()
