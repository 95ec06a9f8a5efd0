"""The one noun that flows through the library."""

from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):
    """What is believed of each pixel, before or after correction."""

    logits: Tensor  # (B, C, h, w), unnormalized class scores
    features: Tensor  # (B, D, h, w), where pixels that look alike lie close
