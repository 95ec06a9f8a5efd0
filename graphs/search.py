"""How one image is searched for nearest neighbors: all pairs, near cells, or a window."""

from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Metric = Literal["cosine", "l2"]
Found = tuple[Tensor, Tensor]
"""Indices `(M, k)` and similarities `(M, k)` of the most similar nodes, the most similar first."""


class Search(Protocol):
    """How one image is searched, see `exact_search`; `functools.partial` sets options."""

    def __call__(self, query: Tensor, x: Tensor, k: int, itself: bool, metric: Metric) -> Found: ...


def similarities(query: Tensor, x: Tensor, metric: Metric) -> Tensor:
    r"""Compare all pairs: :math:`q_i^\top x_j` of unit vectors, or :math:`-\|q_i - x_j\|^2`.

    Args:
        query: `(M, D)`, of unit length for `cosine`.
        x: `(N, D)`, likewise.
        metric: `cosine` or `l2`.

    Returns:
        `(M, N)`.
    """
    product = query @ x.T
    if metric == "cosine":
        return product
    product.mul_(2).sub_(x.square().sum(1)).sub_(query.square().sum(1)[:, None])
    return product.clamp_(max=0)


def exact_search(
    query: Tensor, x: Tensor, k: int, itself: bool, metric: Metric, chunk_size: int = 512
) -> Found:
    """Compare all pairs, `chunk_size` rows at a time, so that memory grows with `chunk_size * N`.

    Args:
        query: `(M, D)`.
        x: `(N, D)`.
        k: neighbors per query, at most as many as there are.
        itself: whether the queries are the nodes, none of which is its own neighbor.
        metric: see `similarities`.
        chunk_size: rows compared at once.
    """
    found = []
    for start in range(0, len(query), chunk_size):
        similarity = similarities(query[start : start + chunk_size], x, metric)
        if itself:
            similarity.diagonal(start).fill_(-torch.inf)
        value, index = similarity.topk(k, dim=1)
        found.append((index, value))
    return _join(found)


def approximate_search(
    query: Tensor,
    x: Tensor,
    k: int,
    itself: bool,
    metric: Metric,
    cells: int | None = None,
    probes: int = 16,
) -> Found:
    """Compare each query only with the nodes of the cells nearest to its own cell.

    A node belongs to the nearest of `cells` centers, found by three rounds of k-means on a sample.
    All queries of a cell share their candidates, so the work stays in matrix products. The same
    input always gives the same output. Neighbors that are not found in the cells probed are
    missing (index -1).

    Args:
        query: `(M, D)`.
        x: `(N, D)`.
        k: neighbors per query.
        itself: whether the queries are the nodes, none of which is its own neighbor.
        metric: see `similarities`.
        cells: number of cells; by default the square root of N.
        probes: cells compared per query: more find more, and take longer.
    """
    centers = _centers(x, cells or max(1, round(len(x) ** 0.5)), metric)
    between = similarities(centers, centers, metric).fill_diagonal_(torch.inf)
    near = between.topk(min(probes, len(centers)), dim=1).indices.tolist()  # the own cell first
    members = _cells(x, centers, metric)
    asking = members if itself else _cells(query, centers, metric)
    nodes = [x[member] for member in members]
    indices = members[0].new_full((len(query), k), -1)
    similarity = x.new_full((len(query), k), -torch.inf)
    for rows, cells_near in zip(asking, near, strict=True):
        candidate = torch.cat([members[c] for c in cells_near])
        kept = min(k, len(candidate) - itself)
        if len(rows) and kept > 0:
            # The first candidates are the queries themselves, in the same order.
            among = torch.cat([nodes[c] for c in cells_near])
            index, value = exact_search(query[rows], among, kept, itself, metric)
            indices[rows, :kept], similarity[rows, :kept] = candidate[index], value
    return indices, similarity


def automatic_search(
    query: Tensor, x: Tensor, k: int, itself: bool, metric: Metric, exact_up_to: int = 16_384
) -> Found:
    """Search exactly up to `exact_up_to` nodes, else approximately."""
    search = exact_search if len(x) <= exact_up_to else approximate_search
    return search(query, x, k, itself, metric)


def _cells(x: Tensor, centers: Tensor, metric: Metric) -> tuple[Tensor, ...]:
    """The nodes nearest to each center."""
    cell = exact_search(x, centers, 1, False, metric)[0].flatten()
    return cell.argsort(stable=True).split(torch.bincount(cell, minlength=len(centers)).tolist())


def _centers(x: Tensor, count: int, metric: Metric, per_cell: int = 32, rounds: int = 3) -> Tensor:
    """A few rounds of k-means on a sample of `per_cell` nodes a cell."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(x), generator=generator)[: count * per_cell].to(x.device)
    sample, centers = x[order], x[order[:count]]
    for _ in range(rounds):
        cell = exact_search(sample, centers, 1, False, metric)[0].flatten()
        size = torch.bincount(cell, minlength=len(centers)).clamp(min=1)[:, None]
        mean = torch.zeros_like(centers).index_add_(0, cell, sample) / size
        centers = F.normalize(mean, dim=1) if metric == "cosine" else mean
    return centers


def window_search(
    x: Tensor, pos: Tensor, k: int, radius: int, metric: Metric, budget: int = 2**24
) -> Found:
    """Compare each node with those at most `radius` rows and columns away, in linear time.

    Args:
        x: `(N, D)`.
        pos: row and column of each node `(N, 2)`, whole numbers; nodes may be missing.
        k: neighbors per node; missing ones have index -1.
        radius: in pixels.
        metric: see `similarities`.
        budget: numbers gathered at once; bounds memory.
    """
    pos = pos.long() - pos.long().amin(0) + radius
    grid = pos.new_full((pos.amax(0) + radius + 1).tolist(), -1)
    grid[pos[:, 0], pos[:, 1]] = torch.arange(len(x), device=x.device)
    side = torch.arange(-radius, radius + 1, device=x.device)
    step = torch.cartesian_prod(side, side)
    step = step[step.any(dim=1)]  # not the node itself
    found = []
    chunk = max(1, budget // (len(step) * x.size(1)))
    for rows in torch.arange(len(x), device=x.device).split(chunk):
        at = pos[rows, None] + step  # (rows, steps, 2)
        candidate = grid[at[..., 0], at[..., 1]]
        if metric == "cosine":
            value = torch.einsum("nd,nmd->nm", x[rows], x[candidate])
        else:
            value = -(x[rows, None] - x[candidate]).square().sum(-1)
        value.masked_fill_(candidate < 0, -torch.inf)
        value, index = value.topk(min(k, len(step)), dim=1)
        found.append((candidate.gather(1, index), value))
    return _join(found)


def _join(found: list[Found]) -> Found:
    indices, similarity = zip(*found, strict=True)
    return torch.cat(indices), torch.cat(similarity)
