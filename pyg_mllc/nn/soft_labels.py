"""Labels as logits that say as much."""

import math

import torch
from torch import Tensor


def label_margin(num_classes: int, belief: float) -> float:
    r"""How far a label's logit stands above the others: :math:`\log(b\,(C - 1) / (1 - b))`.

    Args:
        num_classes: C.
        belief: b, how likely a label is right.

    Raises:
        ValueError: if there are fewer than two classes, or b is not between chance and 1.
    """
    if num_classes < 2 or not 1 / num_classes < belief < 1:
        raise ValueError(
            "expected 2 classes or more, and belief between chance, 1 / classes, and 1, got "
            f"{num_classes} classes and belief={belief}"
        )
    return math.log(belief * (num_classes - 1) / (1 - belief))


def label_logits(label: Tensor, num_classes: int, belief: float = 0.8) -> Tensor:
    r"""Give logits that say as much as a label does.

    .. math::
        Z_{ic} = [y_i = c] \, \log \frac{b\,(C - 1)}{1 - b}

    so that softmax gives b to the label and the rest in equal parts to the other classes.

    Args:
        label: `(...)`, class numbers; any other number, such as 255 for void, gets logits of 0,
            which say nothing.
        num_classes: C, at least 2.
        belief: b, how likely a label is right, above chance and below 1. Above the corrector's
            threshold, labels count as trusted and hardly move.

    Returns:
        `(..., C)`.

    Raises:
        ValueError: if there are fewer than two classes, or b is out of range.

    >>> label_logits(torch.tensor([1, 255]), num_classes=2, belief=0.9).softmax(-1)
    tensor([[0.1000, 0.9000],
            [0.5000, 0.5000]])
    """
    margin = label_margin(num_classes, belief)
    return margin * (label[..., None] == torch.arange(num_classes, device=label.device)).float()
