"""Resize maps and label maps."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from graphs.precision import at_least_float32


def upsample(logits: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize maps bilinearly.

    Args:
        logits: Maps `(B, C, h, w)`.
        size: Height and width (H, W).

    Returns:
        Maps `(B, C, H, W)`.
    """
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)


def resize_map(map_: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a map: the mean of pixels where it shrinks, linear between them where it grows.

    Args:
        map_: Values `(..., C, h, w)`.
        size: Height and width (H, W).

    Returns:
        `(..., C, H, W)`, in float32 at least.
    """
    map_ = at_least_float32(map_)
    shrinks = size[0] <= map_.size(-2) and size[1] <= map_.size(-1)
    mode = "area" if shrinks else "bilinear"
    maps = map_ if map_.dim() == 4 else map_[None]
    resized = F.interpolate(maps, tuple(size), mode=mode)
    return resized if map_.dim() == 4 else resized[0]


def resize_labels(label: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize labels; each pixel takes the label at its center.

    Args:
        label: Labels `(B, H, W)`.
        size: Height and width (h, w).

    Returns:
        Labels `(B, h, w)`, int64.
    """
    return F.interpolate(label[:, None].float(), size, mode="nearest-exact")[:, 0].long()
