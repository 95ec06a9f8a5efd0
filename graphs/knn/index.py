"""Index of nodes for repeated nearest-neighbor queries."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphs.knn.exact import ExactSearch
from graphs.knn.ivf import IVFSearch
from graphs.knn.search import Metric, Search, SearchFactory
from graphs.precision import at_least_float32
from graphs.validation import check_neighbors, check_nodes, check_queries


class Neighbors(NamedTuple):
    """`k` nearest neighbors of each of M nodes, the nearest first.

    Missing neighbors, where there are fewer than `k`, have index -1 and similarity minus infinity.
    """

    indices: Tensor  # (M, k), numbers of the neighbors
    similarity: Tensor  # (M, k), cosine in [-1, 1], or minus the squared distance


def automatic_search(x: Tensor, metric: Metric, exact_up_to: int = 16_384) -> Search:
    """Build an `ExactSearch` for up to `exact_up_to` nodes, an `IVFSearch` for more.

    Args:
        x: nodes `(N, D)`, of unit length for `cosine`.
        metric: `cosine` or `l2`.
        exact_up_to: largest number of nodes to search exactly.

    Returns:
        The search.
    """
    return ExactSearch(x, metric) if len(x) <= exact_up_to else IVFSearch(x, metric)


class NeighborIndex:
    r"""Index of the nodes of one image or memory.

    Similarity is the cosine, or :math:`-\|q_i - x_j\|^2`, computed in float32 (float64 for float64)
    even under autocast. A zero vector has cosine 0 with everything. Ties are broken arbitrarily.
    Squared distances in more than 16 dimensions come from products: in float32 they are exact to
    about a millionth of the squared extent of the data. Pass float64 if smaller ones matter.

    Args:
        x: node features `(N, D)`, finite.
        metric: `cosine` or `l2`.
        search: builds the search: `ExactSearch`, `IVFSearch` for tens of thousands of nodes, or
            `automatic_search`, which chooses between them; `functools.partial` sets their options.

    Raises:
        ValueError: if features are no finite matrix, or `metric` is unknown.

    >>> index = NeighborIndex(torch.eye(3), metric="l2")
    >>> index(torch.tensor([[0.0, 0.9, 0.1]]), k=2).indices
    tensor([[1, 2]])
    """

    @torch.no_grad()
    def __init__(
        self, x: Tensor, metric: Metric = "cosine", search: SearchFactory = ExactSearch
    ) -> None:
        check_nodes(x)
        if metric not in ("cosine", "l2"):
            raise ValueError(f"expected metric to be 'cosine' or 'l2', got {metric!r}")
        self.metric, self.num_nodes, self.width = metric, len(x), x.size(1)
        x = at_least_float32(x)
        self.center = x.mean(0) if len(x) else x.new_zeros(x.size(1))
        with torch.autocast(x.device.type, enabled=False):
            self.search = search(self._vectors(x), metric) if len(x) else None

    @torch.no_grad()
    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> Neighbors:
        """Return the `k` nodes most similar to each query.

        Args:
            query: `(M, D)`; if None, every node is a query and is not its own neighbor.
            k: neighbors per query.
            hidden: nodes `(N,)` bool to leave out of this search.

        Returns:
            Indices and similarities `(M, k)`, the most similar first; -1 and minus infinity for
            missing neighbors.

        Raises:
            ValueError: if queries are no finite matrix of the nodes' width, or `k` is below 1.
        """
        check_neighbors(k)
        if query is not None:
            check_queries(query, self.width)
            query = query.to(self.center.dtype)
        num_queries = self.num_nodes if query is None else len(query)
        indices = torch.full((num_queries, k), -1, device=self.center.device)
        similarity = self.center.new_full((num_queries, k), -torch.inf)
        available = min(k, self.num_nodes - (query is None))
        if self.search is not None and available > 0 and num_queries:
            with torch.autocast(self.center.device.type, enabled=False):
                vectors = None if query is None else self._vectors(query)
                index, value = self.search(vectors, available, hidden)
            indices[:, : index.size(1)] = index
            similarity[:, : index.size(1)] = value
            indices[similarity.isneginf()] = -1
        if self.metric == "cosine":  # rounding may pass 1
            similarity = torch.where(similarity.isneginf(), similarity, similarity.clamp(-1, 1))
        return Neighbors(indices, similarity.clamp(max=0) if self.metric == "l2" else similarity)

    def _vectors(self, x: Tensor) -> Tensor:
        """Return the vectors to compare; centering keeps distances and reduces rounding."""
        return F.normalize(x, dim=1) if self.metric == "cosine" else x - self.center
