"""Nearest neighbors inside each image."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Neighbors(NamedTuple):
    """The `k` nearest neighbors of every node, the nearest first.

    Where an image has too few nodes for `k` neighbors, the missing ones are the node itself, at
    similarity 0: they carry no weight, so nothing downstream needs to know.
    """

    indices: Tensor  # (N, k), the neighbors' node numbers
    similarity: Tensor  # (N, k), cosine in [-1, 1]


@torch.no_grad()
def nearest_neighbors(
    x: Tensor, k: int, batch: Tensor | None = None, chunk_size: int = 512
) -> Neighbors:
    """Find the `k` most similar other nodes of every node, within its image, exactly.

    Rows are compared `chunk_size` at a time, so memory grows with `chunk_size * N`, not with
    `N * N`. Similarity is the cosine, computed in float32 (float64 for float64) even under
    autocast; a zero vector is similar to nothing (cosine 0).

    Args:
        x: node features `(N, D)`, finite.
        k: neighbors per node, the node itself not counted.
        batch: image of each node `(N,)`, ascending; by default all belong to one image.
        chunk_size: rows compared at once.

    Returns:
        `Neighbors` with `indices (N, k)` and `similarity (N, k)`.

    Raises:
        ValueError: if `x` is not a matrix or not finite, `k` is below 1, or `batch` has another
            length or is not ascending.
    """
    _check(x, k, batch)
    sizes = [len(x)] if batch is None else torch.bincount(batch).tolist()
    with torch.autocast(x.device.type, enabled=False):
        unit = F.normalize(x if x.dtype == torch.float64 else x.float(), dim=1)
        found = [_search(image, k, chunk_size) for image in unit.split(sizes)]
    start = torch.tensor([0, *sizes[:-1]]).cumsum(0).tolist()
    indices = torch.cat([f.indices + offset for f, offset in zip(found, start, strict=True)])
    return Neighbors(indices, torch.cat([f.similarity for f in found]))


def _search(unit: Tensor, k: int, chunk_size: int) -> Neighbors:
    """Search one image, given its unit features."""
    size = len(unit)
    indices = torch.arange(size, device=unit.device)[:, None].repeat(1, k)
    similarity = unit.new_zeros(size, k)
    kept = min(k, size - 1)
    for start in range(0, size if kept > 0 else 0, chunk_size):
        rows = slice(start, start + chunk_size)
        cosine = unit[rows] @ unit.T
        cosine.diagonal(start).fill_(-2)  # below every cosine: a node is not its own neighbor
        value, indices[rows, :kept] = cosine.topk(kept, dim=1)
        similarity[rows, :kept] = value.clamp_(-1, 1)
    return Neighbors(indices, similarity)


def _check(x: Tensor, k: int, batch: Tensor | None) -> None:
    if x.dim() != 2:
        raise ValueError(f"expected node features (N, D), got shape {tuple(x.shape)}")
    if k < 1:
        raise ValueError(f"expected k >= 1 neighbors, got {k}")
    if not torch.isfinite(x).all():
        raise ValueError("expected finite node features, got NaN or infinity in x")
    if batch is not None:
        if batch.shape != x.shape[:1]:
            raise ValueError(
                f"expected batch of shape ({len(x)},), one image number per node, "
                f"got {tuple(batch.shape)}"
            )
        if (batch.diff() < 0).any():
            raise ValueError("expected batch in ascending order; sort the nodes by image first")
