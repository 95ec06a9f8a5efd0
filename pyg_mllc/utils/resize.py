"""Resize maps and label maps."""

import torch
import torch.nn.functional as F
from torch import Tensor


def upsample(logits: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize maps bilinearly.

    Args:
        logits: Maps `(B, C, h, w)`.
        size: Height and width (H, W).

    Returns:
        Maps `(B, C, H, W)`.
    """
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)


def resize_labels(label: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize labels; each pixel takes the label at its center.

    Args:
        label: Labels `(B, H, W)`.
        size: Height and width (h, w).

    Returns:
        Labels `(B, h, w)`, int64.
    """
    return F.interpolate(label[:, None].float(), size, mode="nearest-exact")[:, 0].long()
