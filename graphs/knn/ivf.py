"""Approximate nearest neighbors: only near cells are searched."""

import torch
import torch.nn.functional as F
from torch import Tensor

from graphs.knn.search import ExactSearch, Found, Metric, join, largest, similarities
from graphs.validation import check_positive


class CellSearch:
    """Compare each query only with the nodes of the cells nearest to its own cell.

    A node belongs to the nearest of `cells` centers, found by three rounds of k-means on a sample.
    All queries of a cell share their candidates, so the work stays in matrix products. On a CPU the
    same input always gives the same output. Neighbors that are not found in the cells probed are
    missing (index -1), also where all nodes of these cells are hidden.

    Args:
        x: `(N, D)`.
        metric: see `similarities`.
        cells: number of cells; by default the square root of N.
        probes: cells compared per query: more find more, and take longer.
        rows: queries compared at once.
        budget: comparisons at once, fewer rows if need be; bounds memory where cells are large.
    """

    def __init__(
        self,
        x: Tensor,
        metric: Metric,
        cells: int | None = None,
        probes: int = 16,
        rows: int = 512,
        budget: int = 2**24,
    ) -> None:
        check_positive(probes=probes, rows=rows, budget=budget, cells=1 if cells is None else cells)
        self.metric, self.rows, self.budget = metric, rows, budget
        self.centers = _centers(x, min(cells or round(len(x) ** 0.5), len(x)), metric)
        near = similarities(self.centers, self.centers, metric).fill_diagonal_(torch.inf)
        self.near = near.topk(min(probes, len(near)), dim=1).indices.tolist()  # the own cell first
        self.order, self.sizes = self._assign(x)
        self.nodes = x[self.order].split(self.sizes)
        self.numbers = self.order.split(self.sizes)

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> Found:
        if query is None:
            order, queries = self.order, self.nodes
        else:
            order, sizes = self._assign(query)
            queries = query[order].split(sizes)
        found = []
        for cell, part in enumerate(queries):
            candidates = sum(self.sizes[c] for c in self.near[cell])
            rows = max(1, min(self.rows, self.budget // max(1, candidates)))
            for start in range(0, len(part), rows):
                some = part[start : start + rows]
                found.append(self._ask(some, cell, start, k, query is None, hidden))
        index, value = join(found, 0)
        back = order.argsort()
        return index[back], value[back]

    def _ask(
        self, query: Tensor, cell: int, start: int, k: int, itself: bool, hidden: Tensor | None
    ) -> Found:
        """Search the cells near `cell` for queries, if `itself` its nodes from `start` on."""
        near = self.near[cell]
        width = [self.sizes[c] for c in near]
        similarity = query.new_empty(len(query), sum(width))
        for c, out in zip(near, similarity.split(width, dim=1), strict=True):
            similarities(query, self.nodes[c], self.metric, out)
        number = torch.cat([self.numbers[c] for c in near])
        if itself:
            similarity.diagonal(start).fill_(-torch.inf)
        if hidden is not None:
            similarity.masked_fill_(hidden[number], -torch.inf)
        kept = min(k, sum(width) - itself)
        index = self.order.new_full((len(query), k), -1)
        value = query.new_full((len(query), k), -torch.inf)
        if kept > 0:
            column, value[:, :kept] = largest(similarity, kept)
            index[:, :kept] = number[column]
        return index, value

    def _assign(self, x: Tensor) -> tuple[Tensor, list[int]]:
        """Sort nodes by their nearest center; how many each center has."""
        cell = ExactSearch(self.centers, self.metric)(x, 1)[0].flatten()
        return cell.argsort(stable=True), torch.bincount(cell, minlength=len(self.near)).tolist()


def _centers(x: Tensor, count: int, metric: Metric, per_cell: int = 32, rounds: int = 3) -> Tensor:
    """A few rounds of k-means on a sample of `per_cell` nodes a cell."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(x), generator=generator)[: count * per_cell].to(x.device)
    sample, centers = x[order], x[order[:count]]
    for _ in range(rounds):
        cell = ExactSearch(centers, metric)(sample, 1)[0].flatten()
        size = torch.bincount(cell, minlength=len(centers)).clamp(min=1)[:, None]
        mean = torch.zeros_like(centers).index_add_(0, cell, sample) / size
        centers = F.normalize(mean, dim=1) if metric == "cosine" else mean
    return centers
