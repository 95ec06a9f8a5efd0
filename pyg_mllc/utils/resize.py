"""Resize maps and label maps."""

from collections.abc import Callable, Sequence

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


def joint_bilateral_upsampling(
    guide: Tensor, size: tuple[int, int] | torch.Size, color: float = 0.2, distance: float = 0.6
) -> Callable[[Tensor], Tensor]:
    r"""Return a function that enlarges maps along the edges of an image.

    .. math::
        \tilde M_p = \frac{\sum_q w_{pq} M_q}{\sum_q w_{pq}}, \qquad
        w_{pq} = \exp\Big( -\frac{\|I_p - I_q\|^2}{s^2} - \frac{\|p - q\|^2}{r^2} \Big)

    over the 3 x 3 pixels q of the small map that lie nearest to pixel p of the image (joint
    bilateral upsampling, Kopf et al., SIGGRAPH 2007). The color of q is the mean over its part of
    the image. The function keeps nine maps of the image's size, however many channels it enlarges.

    Args:
        guide: image I `(B, 3, H, W)` in [0, 1].
        size: height and width (h, w) of the maps, not larger than the image.
        color: s, in the range of colors.
        distance: r, in pixels of the maps; 0.6 reaches as far as bilinear interpolation does.

    Returns:
        A function of maps `(B, C, h, w)` to maps `(B, C, H, W)`; the identity for maps of the
        image's size.

    >>> guide = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).expand(1, 3, 1, 6)
    >>> joint_bilateral_upsampling(guide, (1, 2))(torch.tensor([[[[5.0, 9.0]]]]))
    tensor([[[[5., 5., 5., 9., 9., 9.]]]])
    """
    full = guide.shape[-2:]
    if tuple(size) == tuple(full):
        return lambda maps: maps
    guide = at_least_float32(guide)
    coarse = F.interpolate(guide, tuple(size), mode="area")
    rows, columns = (_nearest(*sides, guide) for sides in zip(full, size, strict=True))
    taps = [
        (row, column) for row in zip(*rows, strict=True) for column in zip(*columns, strict=True)
    ]
    weight = guide.new_empty(len(guide), len(taps), *full)
    for tap, ((row, far_row), (column, far_column)) in enumerate(taps):
        near = coarse[:, :, row][..., column]
        far = far_row[:, None] + far_column
        weight[:, tap] = -(guide - near).square().sum(1) / color**2 - far / distance**2
    weight = weight.softmax(1)

    def enlarge(maps: Tensor) -> Tensor:
        total = maps.new_zeros(*maps.shape[:2], *full, dtype=weight.dtype)
        for tap, ((row, _), (column, _)) in enumerate(taps):
            total = total + weight[:, tap, None] * maps[:, :, row][..., column]
        return total

    return enlarge


def _nearest(full: int, small: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the three nearest pixels of the small side to each pixel, and squared distances.

    Args:
        full: pixels of the large side.
        small: pixels of the small side.
        like: tensor of the device and type.

    Returns:
        Positions and distances, `(3, full)` each; the distance of what lies outside is infinite.
    """
    place = (torch.arange(full).to(like) + 0.5) * small / full
    index = place.floor().long() + torch.tensor([[-1], [0], [1]], device=like.device)
    far = (place - 0.5 - index).square()
    inside = (index >= 0) & (index < small)
    return index.clamp(0, small - 1), torch.where(inside, far, torch.inf)


def resize_labels(label: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize labels; each pixel takes the label at its center.

    Args:
        label: Labels `(B, H, W)`.
        size: Height and width (h, w).

    Returns:
        Labels `(B, h, w)`, int64.
    """
    return F.interpolate(label[:, None].float(), size, mode="nearest-exact")[:, 0].long()
