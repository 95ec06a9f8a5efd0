"""Interface of a nearest-neighbor search in one image."""

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor

Metric = Literal["cosine", "l2"]
SearchResult = tuple[Tensor, Tensor]
"""Indices `(M, k)` and similarities `(M, k)` of the most similar nodes, in descending order."""


class Search(Protocol):
    """Index of the nodes of one image; a call returns up to `k` of them for each query `(M, D)`.

    If the query is None, every node is a query and is not its own neighbor. Nodes that are
    `hidden (N,)` are left out, or returned with a similarity of minus infinity.
    """

    def __call__(
        self, query: Tensor | None, k: int, hidden: Tensor | None = None
    ) -> SearchResult: ...


SearchFactory = Callable[[Tensor, Metric], Search]
"""Builds a search over nodes `(N, D)`, of unit length for `cosine`; set options with `partial`."""


def concat_results(results: list[SearchResult], dim: int) -> SearchResult:
    """Concatenate the results of several searches.

    Args:
        results: indices and similarities of each search.
        dim: dimension to concatenate along: 0 for other queries, 1 for other nodes.

    Returns:
        Indices and similarities.
    """
    index, value = zip(*results, strict=True)
    return torch.cat(index, dim), torch.cat(value, dim)
