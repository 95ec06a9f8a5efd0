"""Exact nearest-neighbor search in one image."""

import torch
from torch import Tensor

from graphs.knn.search import Metric, SearchResult, concat_results
from graphs.validation import check_positive


def pairwise_similarity(
    query: Tensor,
    x: Tensor,
    metric: Metric,
    out: Tensor | None = None,
    square: Tensor | None = None,
) -> Tensor:
    r"""Compute the similarity of all pairs.

    It is :math:`q_i^\top x_j` for `cosine`, and :math:`-\|q_i - x_j\|^2` for `l2`.

    Args:
        query: `(M, D)`, of unit length for `cosine`.
        x: `(N, D)`, of unit length for `cosine`.
        metric: `cosine` or `l2`.
        out: output buffer `(M, N)`.
        square: :math:`\|x_j\|^2` `(N,)`, used for `l2`; computed if None.

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


def grouped_topk(value: Tensor, k: int) -> SearchResult:
    """Compute `topk` of each row through maxima of column groups, which is faster for long rows.

    If a value is among the k largest, fewer than k groups have a larger maximum than its own
    group. So all k lie in the k groups with the largest maxima.

    Args:
        value: `(M, N)`.
        k: values per row, at most N.

    Returns:
        Columns `(M, k)` and values `(M, k)`, in descending order.
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
    """Exact search: compare all pairs in blocks, so that memory does not grow with their number.

    Args:
        x: nodes `(N, D)`.
        metric: `cosine` or `l2`, see `pairwise_similarity`.
        rows: minimum number of queries per block; more are taken if there are few nodes.
        columns: maximum number of nodes per block.
    """

    def __init__(self, x: Tensor, metric: Metric, rows: int = 256, columns: int = 32_768) -> None:
        check_positive(rows=rows, columns=columns)
        self.x, self.metric, self.columns = x, metric, columns
        self.square = x.square().sum(1) if metric == "l2" else None
        self.rows = max(rows, 2**19 // max(len(x), 1))

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> SearchResult:
        is_self = query is None
        query = self.x if query is None else query
        # One buffer for all blocks: allocating one for each takes as long as the search.
        buffer = self.x.new_empty(min(self.rows, len(query)), min(self.columns, len(self.x)))
        results = []
        for start in range(0, len(query), self.rows):
            block, parts = query[start : start + self.rows], []
            for first in range(0, len(self.x), self.columns):
                columns = slice(first, first + self.columns)
                nodes = self.x[columns]
                square = None if self.square is None else self.square[columns]
                out = buffer[: len(block), : len(nodes)]
                similarity = pairwise_similarity(block, nodes, self.metric, out, square)
                if is_self:
                    similarity.diagonal(start - first).fill_(-torch.inf)
                if hidden is not None:
                    similarity.masked_fill_(hidden[columns], -torch.inf)
                index, value = grouped_topk(similarity, min(k, len(nodes)))
                parts.append((index + first, value))
            results.append(_merge(parts, k))
        return concat_results(results, 0)


def _merge(parts: list[SearchResult], k: int) -> SearchResult:
    if len(parts) == 1:
        return parts[0]
    index, value = concat_results(parts, 1)
    value, place = value.topk(min(k, value.size(1)), dim=1)
    return index.gather(1, place), value
