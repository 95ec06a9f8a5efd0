"""Nearest neighbors within each image of a batch."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from graphs.knn.exact import ExactSearch
from graphs.knn.index import NeighborIndex, Neighbors
from graphs.knn.search import Metric, SearchFactory
from graphs.knn.window import WindowSearch
from graphs.validation import check_batch, check_neighbors, check_nodes, check_queries, describe


def nearest_neighbors(
    x: Tensor,
    k: int,
    batch: Tensor | None = None,
    *,
    query: Tensor | None = None,
    query_batch: Tensor | None = None,
    metric: Metric = "cosine",
    search: SearchFactory = ExactSearch,
    pos: Tensor | None = None,
    radius: int | None = None,
) -> Neighbors:
    r"""Return the `k` most similar nodes of every node, within its image.

    Similarity is the cosine, or :math:`-\|x_i - x_j\|^2`, computed in float32 (float64 for float64)
    even under autocast. A zero vector has cosine 0 with everything. Ties are broken arbitrarily.

    Args:
        x: node features `(N, D)`, finite.
        k: neighbors per node, the node itself not counted.
        batch: image of each node `(N,)`, ascending; a single image if None.
        query: nodes `(M, D)` to find neighbors for; the nodes of `x` if None, none of which is its
            own neighbor.
        query_batch: image of each query `(M,)`, ascending.
        metric: `cosine` or `l2`.
        search: builds the search of one image: `ExactSearch`, `IVFSearch` for images of tens of
            thousands of nodes, or `automatic_search`, which chooses between them;
            `functools.partial` sets their options.
        pos: row and column of each node `(N, 2)`, needed with `radius`.
        radius: compare only nodes at most this many rows and columns away: exact, in about linear
            time, and instead of `search`.

    Returns:
        `Neighbors` of each query among `x`: `indices (M, k)` and `similarity (M, k)`.

    Raises:
        ValueError: if features are no finite matrices of the same width, `k` is below 1, `metric`
            is unknown, a batch vector has another length or is not ascending, `radius` comes
            without `pos` or with `query`, or `batch` and `query_batch` do not come together.

    >>> x = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]])
    >>> nearest_neighbors(x, k=2).indices.tolist()
    [[1, 2], [0, 2], [1, 0]]
    """
    check_nodes(x)
    check_neighbors(k)
    batch = check_batch(batch, len(x))
    _check_window(x, query, pos, radius)
    if query is None:
        query_batch = batch
    else:
        if (batch is None) != (query_batch is None):
            raise ValueError("expected batch and query_batch together, got one without the other")
        check_queries(query, x.size(1))
        query_batch = check_batch(query_batch, len(query), "query_batch")
    ids = _image_ids(batch, query_batch)
    sizes = _image_sizes(ids, batch, len(x))
    queries: Sequence[Tensor | None] = [None] * len(sizes)
    if query is not None:
        queries = query.split(_image_sizes(ids, query_batch, len(query)))
    results, start = [], 0
    for image_query, nodes in zip(queries, x.split(sizes), strict=True):
        if radius is not None and pos is not None:
            image_pos = pos[start : start + len(nodes)]
            search = partial(WindowSearch, pos=image_pos, radius=radius)
        indices, similarity = NeighborIndex(nodes, metric, search)(image_query, k)
        results.append((torch.where(indices < 0, -1, indices + start), similarity))
        start += len(nodes)
    return Neighbors(*(torch.cat(part) for part in zip(*results, strict=True)))


def _image_ids(batch: Tensor | None, query_batch: Tensor | None) -> Tensor | None:
    """Return the images of nodes and queries, ascending; None for a single image."""
    if batch is None or query_batch is None:
        return None
    ids: Tensor = torch.cat([batch, query_batch]).unique()
    return ids


def _image_sizes(ids: Tensor | None, batch: Tensor | None, count: int) -> list[int]:
    """Return the number of nodes of each image."""
    if ids is None or batch is None or not len(ids):
        return [count]
    sizes: list[int] = torch.bincount(torch.searchsorted(ids, batch), minlength=len(ids)).tolist()
    return sizes


def _check_window(x: Tensor, query: Tensor | None, pos: Tensor | None, radius: int | None) -> None:
    if radius is None:
        if pos is not None:
            raise ValueError("expected radius with pos, got pos alone")
        return
    if query is not None:
        raise ValueError("expected no query with radius: a window lies around the nodes themselves")
    if not isinstance(radius, int) or radius < 1:
        raise ValueError(f"expected radius to be a whole number of pixels >= 1, got {radius!r}")
    if not isinstance(pos, Tensor) or pos.shape != (len(x), 2):
        raise ValueError(
            f"expected pos ({len(x)}, 2), row and column per node, got {describe(pos)}"
        )
    if pos.is_floating_point() and (pos != pos.round()).any():
        raise ValueError(
            "expected whole rows and columns in pos, got fractions or NaN; for points in space put "
            "their coordinates among the features, with metric='l2' and an affinity of their scale"
        )
