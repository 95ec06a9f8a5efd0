"""Comparison of an exported network with torch."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mllc.errors import InputError


class MismatchError(InputError):
    """Error for an exported network that computes other logits than torch."""


class Comparison(NamedTuple):
    """Differences between the logits of two networks."""

    largest: float  # difference of two logits
    mean: float
    other: float  # share of the pixels that get another label

    def __str__(self) -> str:
        return (
            f"difference of the logits at most {self.largest:.2g}, {self.mean:.2g} on average; "
            f"{100 * self.other:.3f}% of the labels differ"
        )


def compare(logits: Tensor, expected: Tensor) -> Comparison:
    """Compare an exported network's logits with the expected ones.

    Args:
        logits: `(B, C, H, W)`.
        expected: `(B, C, H, W)`.

    Returns:
        Largest and mean difference, and the share of pixels whose label differs.
    """
    apart = (logits - expected).abs()
    other = (logits.argmax(1) != expected.argmax(1)).float().mean()
    return Comparison(float(apart.max()), float(apart.mean()), float(other))


def views(image: Tensor, size: tuple[int, int], multiple: int, smallest: int) -> list[Tensor]:
    """Resize an image `(3, H, W)` to sizes that an exported network takes.

    Args:
        image: in [0, 1].
        size: height and width of the training.
        multiple: of which sides must be.
        smallest: that sides must be.

    Returns:
        One image near training's size, one that is larger, and a batch of two, upright if the
        others are not.
    """
    height, width = (max(multiple * round(side / multiple), smallest) for side in size)
    larger = height + multiple, width + 2 * multiple
    upright = (width, height) if width != height else (height + 2 * multiple, width)
    made = [
        F.interpolate(image[None], shape, mode="bilinear", antialias=True).clamp(0, 1)
        for shape in ((height, width), larger, upright)
    ]
    made[2] = torch.cat([made[2], made[2].flip(-1)])
    return made
