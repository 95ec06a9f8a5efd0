"""Feature maps to graph nodes, and back."""

import torch
from torch import Tensor


def maps_to_nodes(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Give every pixel of a batch of maps a node.

    Args:
        maps: `(B, D, h, w)`.

    Returns:
        x: node features `(B*h*w, D)`, row by row, image after image.
        batch: image of each node `(B*h*w,)`.

    Raises:
        ValueError: if `maps` does not have four dimensions.

    >>> x, batch = maps_to_nodes(torch.arange(12).view(1, 2, 2, 3))
    >>> x[:2].tolist()
    [[0, 6], [1, 7]]
    """
    if maps.dim() != 4:
        raise ValueError(f"expected maps (B, D, h, w), got shape {tuple(maps.shape)}")
    size, _, height, width = maps.shape
    x = maps.permute(0, 2, 3, 1).flatten(0, 2)  # (B, D, h, w) -> (B*h*w, D)
    batch = torch.arange(size, device=maps.device).repeat_interleave(height * width)
    return x, batch


def nodes_to_maps(x: Tensor, height: int, width: int) -> Tensor:
    """Undo `maps_to_nodes`.

    Args:
        x: node features `(B*h*w, D)`.
        height: h, rows of each map.
        width: w, columns of each map.

    Returns:
        Maps `(B, D, h, w)`.

    Raises:
        ValueError: if the nodes do not fill whole maps.
    """
    if x.dim() != 2 or x.size(0) % (height * width):
        raise ValueError(
            f"expected nodes (B*{height}*{width}, D) for maps of {height}x{width}, "
            f"got shape {tuple(x.shape)}"
        )
    return x.unflatten(0, (-1, height, width)).permute(0, 3, 1, 2)  # (B*h*w, D) -> (B, D, h, w)
