"""Approximate nearest-neighbor search with an inverted file (IVF)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from graphs.knn.exact import ExactSearch, grouped_topk, pairwise_similarity
from graphs.knn.search import Metric, SearchResult, concat_results
from graphs.validation import check_positive


class IVFSearch:
    """Approximate search: compare each query only with the nodes of the cells nearest to its own.

    A node belongs to the nearest of `nlist` centers, which three rounds of k-means on a sample
    find. All queries of a cell share their candidates, so the work stays in matrix products. On a
    CPU the same input always gives the same output. If the probed cells hold fewer than k
    neighbors that are not hidden, the others are missing (index -1).

    Args:
        x: nodes `(N, D)`.
        metric: `cosine` or `l2`, see `pairwise_similarity`.
        nlist: number of cells; the square root of N if None.
        nprobe: cells compared per query; more give higher recall and take longer.
        rows: maximum number of queries per block.
        budget: maximum number of comparisons per block; bounds memory where cells are large.

    Raises:
        ValueError: if an option is not above zero.
    """

    def __init__(
        self,
        x: Tensor,
        metric: Metric,
        nlist: int | None = None,
        nprobe: int = 16,
        rows: int = 512,
        budget: int = 2**24,
    ) -> None:
        check_positive(nprobe=nprobe, rows=rows, budget=budget, nlist=1 if nlist is None else nlist)
        self.metric, self.rows, self.budget = metric, rows, budget
        self.centers = _kmeans(x, min(nlist or round(len(x) ** 0.5), len(x)), metric)
        near = pairwise_similarity(self.centers, self.centers, metric).fill_diagonal_(torch.inf)
        self.near: list[list[int]] = near.topk(min(nprobe, len(near)), dim=1).indices.tolist()
        self.order, self.sizes = self._assign(x)
        self.nodes = x[self.order].split(self.sizes)
        self.numbers = self.order.split(self.sizes)

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> SearchResult:
        if query is None:
            order, queries = self.order, self.nodes
        else:
            order, sizes = self._assign(query)
            queries = query[order].split(sizes)
        results = []
        for cell, part in enumerate(queries):
            candidates = sum(self.sizes[c] for c in self.near[cell])
            rows = max(1, min(self.rows, self.budget // max(1, candidates)))
            for start in range(0, len(part), rows):
                block = part[start : start + rows]
                results.append(self._search_cell(block, cell, start, k, query is None, hidden))
        index, value = concat_results(results, 0)
        inverse = order.argsort()
        return index[inverse], value[inverse]

    def _search_cell(
        self, query: Tensor, cell: int, start: int, k: int, is_self: bool, hidden: Tensor | None
    ) -> SearchResult:
        """Search the cells nearest to `cell`, the cell itself first.

        Args:
            query: queries of the cell `(M, D)`.
            cell: number of the cell.
            start: place of the first query among all queries of the cell.
            k: neighbors per query.
            is_self: whether the queries are the cell's own nodes.
            hidden: nodes `(N,)` bool to leave out.

        Returns:
            Indices and similarities `(M, k)`.
        """
        near = self.near[cell]
        width = [self.sizes[c] for c in near]
        similarity = query.new_empty(len(query), sum(width))
        for c, out in zip(near, similarity.split(width, dim=1), strict=True):
            pairwise_similarity(query, self.nodes[c], self.metric, out)
        number = torch.cat([self.numbers[c] for c in near])
        if is_self:
            similarity.diagonal(start).fill_(-torch.inf)
        if hidden is not None:
            similarity.masked_fill_(hidden[number], -torch.inf)
        kept = min(k, sum(width) - is_self)
        index = self.order.new_full((len(query), k), -1)
        value = query.new_full((len(query), k), -torch.inf)
        if kept > 0:
            column, value[:, :kept] = grouped_topk(similarity, kept)
            index[:, :kept] = number[column]
        return index, value

    def _assign(self, x: Tensor) -> tuple[Tensor, list[int]]:
        """Return an order of the nodes by their nearest center, and the size of each cell."""
        cell = ExactSearch(self.centers, self.metric)(x, 1)[0].flatten()
        sizes: list[int] = torch.bincount(cell, minlength=len(self.near)).tolist()
        return cell.argsort(stable=True), sizes


def _kmeans(x: Tensor, count: int, metric: Metric, per_cell: int = 32, rounds: int = 3) -> Tensor:
    """Compute `count` centers by k-means on a sample of `per_cell` nodes per center."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(x), generator=generator)[: count * per_cell].to(x.device)
    sample, centers = x[order], x[order[:count]]
    for _ in range(rounds):
        cell = ExactSearch(centers, metric)(sample, 1)[0].flatten()
        size = torch.bincount(cell, minlength=len(centers)).clamp(min=1)[:, None]
        mean = torch.zeros_like(centers).index_add_(0, cell, sample) / size
        centers = F.normalize(mean, dim=1) if metric == "cosine" else mean
    return centers
