"""How one image is searched for nearest neighbors: its nodes are prepared once, then asked."""

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor

from graphs.validation import check_positive

Metric = Literal["cosine", "l2"]
Found = tuple[Tensor, Tensor]
"""Indices `(M, k)` and similarities `(M, k)` of the most similar nodes, the most similar first."""


class Search(Protocol):
    """Nodes prepared to be asked: give up to `k` of them for each query `(M, D)`.

    For the query None, each of the nodes is a query, and not its own neighbor. Nodes that are
    `hidden (N,)` are given, if at all, with a similarity of minus infinity.
    """

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> Found: ...


MakeSearch = Callable[[Tensor, Metric], Search]
"""Prepares nodes `(N, D)`, of unit length for `cosine`; `functools.partial` sets options."""


def similarities(
    query: Tensor,
    x: Tensor,
    metric: Metric,
    out: Tensor | None = None,
    square: Tensor | None = None,
) -> Tensor:
    r"""Compare all pairs: :math:`q_i^\top x_j` of unit vectors, or :math:`-\|q_i - x_j\|^2`.

    Args:
        query: `(M, D)`, of unit length for `cosine`.
        x: `(N, D)`, likewise.
        metric: `cosine` or `l2`.
        out: `(M, N)` to write to.
        square: :math:`\|x_j\|^2` `(N,)`, if it is known; for `l2`.

    Returns:
        `(M, N)`.
    """
    if metric == "l2" and x.size(1) <= 16:  # for points in space: rounding stays with differences
        distance = torch.cdist(query, x, compute_mode="donot_use_mm_for_euclid_dist")
        return torch.neg(distance.square_(), out=out)
    if metric == "cosine":
        return torch.mm(query, x.T, out=out)
    square = x.square().sum(1) if square is None else square
    product = torch.addmm(square.neg(), query, x.T, alpha=2, out=out)
    return product.sub_(query.square().sum(1)[:, None]).clamp_(max=0)


def largest(value: Tensor, k: int) -> Found:
    """Find the `k` largest of each row as `topk` does, several times faster where rows are long.

    Columns are put in groups. If a value is among the k largest, fewer than k groups have a larger
    maximum than its own group: so all of them lie in the k groups with the largest maxima.

    Returns:
        Columns `(M, k)` and values `(M, k)`, the largest first.
    """
    group = min(16, value.size(1) // (4 * k))
    if group < 4:
        values, column = value.topk(k, dim=1)
        return column, values
    groups = value.size(1) // group
    grouped = value[:, : groups * group].unflatten(1, (group, groups))
    best = grouped.amax(1).topk(k, dim=1, sorted=False).indices
    member = torch.arange(0, groups * group, groups, device=value.device)
    rest = torch.arange(groups * group, value.size(1), device=value.device)
    column = torch.cat([(best[:, :, None] + member).flatten(1), rest.expand(len(value), -1)], 1)
    values, place = value.gather(1, column).topk(k, dim=1)
    return column.gather(1, place), values


class ExactSearch:
    """Compare all pairs, a block of them at a time: memory does not grow with their number.

    Args:
        x: `(N, D)`.
        metric: see `similarities`.
        rows: queries compared at once; more if there are few nodes.
        columns: nodes compared at once.
    """

    def __init__(self, x: Tensor, metric: Metric, rows: int = 256, columns: int = 32_768) -> None:
        check_positive(rows=rows, columns=columns)
        self.x, self.metric, self.columns = x, metric, columns
        self.square = x.square().sum(1)
        self.rows = max(rows, 2**19 // max(len(x), 1))

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> Found:
        itself = query is None
        query = self.x if query is None else query
        # One block of memory for all: to ask the system for each takes as long as the search.
        block = self.x.new_empty(min(self.rows, len(query)), min(self.columns, len(self.x)))
        found = []
        for start in range(0, len(query), self.rows):
            some, parts = query[start : start + self.rows], []
            for first in range(0, len(self.x), self.columns):
                part = slice(first, first + self.columns)
                among, square = self.x[part], self.square[part]
                out = block[: len(some), : len(among)]
                similarity = similarities(some, among, self.metric, out, square)
                if itself:
                    similarity.diagonal(start - first).fill_(-torch.inf)
                if hidden is not None:
                    similarity.masked_fill_(hidden[part], -torch.inf)
                index, value = largest(similarity, min(k, len(among)))
                parts.append((index + first, value))
            found.append(_best(parts, k))
        return join(found, 0)


def _best(parts: list[Found], k: int) -> Found:
    if len(parts) == 1:
        return parts[0]
    index, value = join(parts, 1)
    value, place = value.topk(min(k, value.size(1)), dim=1)
    return index.gather(1, place), value


def join(found: list[Found], dim: int) -> Found:
    """Concatenate indices, and similarities."""
    index, value = zip(*found, strict=True)
    return torch.cat(index, dim), torch.cat(value, dim)
