"""Change the size of maps and label maps."""

import torch
import torch.nn.functional as F
from torch import Tensor


def upsample(logits: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Bring maps `(B, C, h, w)` to `size` (H, W), bilinearly."""
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)


def resize_labels(label: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Bring labels `(B, H, W)` to `size` (h, w): each pixel takes the label at its center."""
    return F.interpolate(label[:, None].float(), size, mode="nearest-exact")[:, 0].long()
