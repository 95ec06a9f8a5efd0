"""Nearest-neighbor search among the surrounding pixels."""

import torch
from torch import Tensor

from graphs.knn.search import Metric, SearchResult, concat_results


class WindowSearch:
    """Exact search in a window: compare each node with those at most `radius` pixels away.

    The distance is the larger of those in rows and columns. Memory is linear in the number of
    nodes, and so is time, but for binary searches in their sorted positions.

    Args:
        x: nodes `(N, D)`.
        metric: `cosine` or `l2`, see `pairwise_similarity`.
        pos: row and column of each node `(N, 2)`, integers; pixels may be missing.
        radius: in pixels.
        budget: maximum number of values gathered at once; bounds memory.

    Raises:
        ValueError: if positions are too far apart, or two nodes share one.
    """

    def __init__(
        self, x: Tensor, metric: Metric, pos: Tensor, radius: int, budget: int = 2**24
    ) -> None:
        self.x, self.metric, self.radius, self.budget = x, metric, radius, budget
        pos = pos.long() - pos.long().amin(0)
        # Row-major places with gaps between rows, so that no window reaches into other rows.
        self.row = int(pos[:, 1].amax()) + 1 + radius
        if (int(pos[:, 0].amax()) + 1) * self.row >= 2**63:
            raise ValueError("expected rows and columns of an image in pos, got some too far apart")
        self.place = pos[:, 0] * self.row + pos[:, 1]
        self.taken, self.node = self.place.sort()
        if (self.taken.diff() == 0).any():
            raise ValueError("expected one node per row and column of an image, got two in one")

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> SearchResult:
        """Return neighbors of the nodes themselves: `query` has to be None, see `Search`."""
        x, side = self.x, 2 * self.radius + 1
        results = []
        chunk = max(1, self.budget // (side**2 * x.size(1)))
        for nodes in torch.arange(len(x), device=x.device).split(chunk):
            candidate = self._window(nodes)
            if self.metric == "cosine":
                value = torch.einsum("nd,nmd->nm", x[nodes], x[candidate])
            else:
                value = -(x[nodes, None] - x[candidate]).square().sum(-1)
            value.masked_fill_(candidate < 0, -torch.inf)
            if hidden is not None:
                value.masked_fill_(hidden[candidate], -torch.inf)
            value, index = value.topk(min(k, side**2), dim=1)
            results.append((candidate.gather(1, index), value))
        return concat_results(results, 0)

    def _window(self, nodes: Tensor) -> Tensor:
        """Return the nodes in each node's window `(n, (2 radius + 1)^2)`; -1 for missing ones."""
        radius, side = self.radius, 2 * self.radius + 1
        step = torch.arange(side, device=nodes.device)
        first = self.place[nodes, None] + (step - radius) * self.row - radius  # of each row
        at = torch.searchsorted(self.taken, first)[..., None] + step  # taken places are adjacent
        inside = at.clamp(max=len(self.taken) - 1)
        exists = (at == inside) & (self.taken[inside] < first[..., None] + side)
        candidate = torch.where(exists, self.node[inside], -1)
        return torch.where(candidate == nodes[:, None, None], -1, candidate).flatten(1)
