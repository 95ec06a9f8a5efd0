"""Nearest neighbors inside each image."""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphs.checks import check_batch, check_nodes, image_sizes
from graphs.search import Found, Metric, Search, exact_search, window_search


class Neighbors(NamedTuple):
    """The `k` nearest neighbors of each of M nodes, the nearest first.

    Where an image has fewer than `k`, the missing ones have index -1 and similarity minus infinity.
    """

    indices: Tensor  # (M, k), numbers of the neighbors
    similarity: Tensor  # (M, k), cosine in [-1, 1], or minus the squared distance


@torch.no_grad()
def nearest_neighbors(
    x: Tensor,
    k: int,
    batch: Tensor | None = None,
    *,
    query: Tensor | None = None,
    query_batch: Tensor | None = None,
    metric: Metric = "cosine",
    search: Search = exact_search,
    pos: Tensor | None = None,
    radius: int | None = None,
) -> Neighbors:
    r"""Find the `k` most similar nodes of every node, within its image.

    Similarity is the cosine, or :math:`-\|x_i - x_j\|^2`, computed in float32 (float64 for float64)
    even under autocast. A zero vector has cosine 0 with everything. Ties go to any of the tied.

    Args:
        x: node features `(N, D)`, finite.
        k: neighbors per node, the node itself not counted.
        batch: image of each node `(N,)`, ascending; by default all belong to one image.
        query: nodes `(M, D)` to find neighbors for; by default the nodes of `x`, none of which is
            its own neighbor.
        query_batch: image of each query `(M,)`, ascending.
        metric: `cosine` or `l2`.
        search: how one image is searched: `exact_search`, or `approximate_search` for images of
            10,000 nodes and more; `functools.partial` sets their options.
        pos: row and column of each node `(N, 2)`, needed with `radius`.
        radius: choose only among nodes at most so many rows and columns away: exact, linear in N,
            and instead of `search`.

    Returns:
        `Neighbors` of each query among `x`: `indices (M, k)` and `similarity (M, k)`.

    Raises:
        ValueError: if features are no finite matrices of one width, `k` is below 1, `metric` is
            unknown, a batch vector has another length or is not ascending, `radius` comes
            without `pos` or with `query`, or only one of `batch` and `query_batch` is given.

    >>> x = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]])
    >>> nearest_neighbors(x, k=2).indices.tolist()
    [[1, 2], [0, 2], [1, 0]]
    """
    _check(x, k, batch, query, query_batch, metric)
    _check_window(x, query, pos, radius)
    itself = query is None
    with torch.autocast(x.device.type, enabled=False):
        x = _vectors(x, metric)
        q = x if query is None else _vectors(query, metric)
        if metric == "l2" and len(x):  # distances do not feel a shift, rounding does
            center = x.mean(0)
            x, q = x - center, q - center
        q_batch = batch if query is None else query_batch
        images = 1 + max(_last(batch), _last(q_batch))
        sizes = image_sizes(batch, len(x), images)
        rows = q.split(image_sizes(q_batch, len(q), images))
        found, start = [], 0
        for part, among in zip(rows, x.split(sizes), strict=True):
            here = search
            if pos is not None and radius is not None:
                here = partial(_window, pos=pos[start : start + len(among)], radius=radius)
            found.append(_filled(here, part, among, k, itself, metric, start))
            start += len(among)
    return Neighbors(*(torch.cat(part) for part in zip(*found, strict=True)))


def _filled(
    search: Search, query: Tensor, x: Tensor, k: int, itself: bool, metric: Metric, start: int
) -> Found:
    """Search one image whose nodes are numbered from `start`, and mark what is missing."""
    indices = torch.full((len(query), k), -1, device=x.device)
    similarity = x.new_full((len(query), k), -torch.inf)
    there = min(k, len(x) - itself)
    if there > 0 and len(query):
        index, value = search(query, x, there, itself, metric)
        indices[:, : index.size(1)] = torch.where(index < 0, -1, index + start)
        similarity[:, : index.size(1)] = value
    return indices, similarity.clamp_(max=1 if metric == "cosine" else 0)


def _window(
    query: Tensor, x: Tensor, k: int, itself: bool, metric: Metric, *, pos: Tensor, radius: int
) -> Found:
    return window_search(x, pos, k, radius, metric)


def _last(batch: Tensor | None) -> int:
    return 0 if batch is None or not len(batch) else int(batch[-1])


def _vectors(x: Tensor, metric: Metric) -> Tensor:
    x = x if x.dtype == torch.float64 else x.float()
    return F.normalize(x, dim=1) if metric == "cosine" else x


def _check(
    x: Tensor,
    k: int,
    batch: Tensor | None,
    query: Tensor | None,
    query_batch: Tensor | None,
    metric: Metric,
) -> None:
    check_nodes(x)
    check_batch(batch, len(x))
    if k < 1:
        raise ValueError(f"expected k >= 1 neighbors, got {k}")
    if metric not in ("cosine", "l2"):
        raise ValueError(f"expected metric to be 'cosine' or 'l2', got {metric!r}")
    if query is not None:
        if (batch is None) != (query_batch is None):
            raise ValueError("expected batch and query_batch together, got one without the other")
        check_nodes(query, "query")
        check_batch(query_batch, len(query), "query_batch")
        if query.size(1) != x.size(1):
            raise ValueError(
                f"expected query and x of one width, got {tuple(query.shape)} and {tuple(x.shape)}"
            )


def _check_window(x: Tensor, query: Tensor | None, pos: Tensor | None, radius: int | None) -> None:
    if radius is None:
        if pos is not None:
            raise ValueError("expected radius with pos, got pos alone")
        return
    if query is not None:
        raise ValueError("expected no query with radius: a window lies around the nodes themselves")
    if radius < 1:
        raise ValueError(f"expected radius >= 1 pixels, got {radius}")
    if pos is None or pos.shape != (len(x), 2):
        given = None if pos is None else tuple(pos.shape)
        raise ValueError(f"expected pos ({len(x)}, 2), row and column per node, got {given}")
