"""Nearest neighbors among the pixels around."""

import torch
from torch import Tensor

from graphs.knn.search import Found, Metric, join


class WindowSearch:
    """Compare each node with those at most `radius` rows and columns away.

    Memory is linear in the nodes, and so is time, but for a search in their sorted places.

    Args:
        x: `(N, D)`.
        metric: see `similarities`.
        pos: row and column of each node `(N, 2)`, whole numbers; nodes may be missing.
        radius: in pixels.
        budget: numbers gathered at once; bounds memory.
    """

    def __init__(
        self, x: Tensor, metric: Metric, pos: Tensor, radius: int, budget: int = 2**24
    ) -> None:
        self.x, self.metric, self.radius, self.budget = x, metric, radius, budget
        pos = pos.long() - pos.long().amin(0)
        # Places row by row; between rows so many are left free that a window never meets others.
        self.row = int(pos[:, 1].amax()) + 1 + radius
        if (int(pos[:, 0].amax()) + 1) * self.row >= 2**63:
            raise ValueError("expected rows and columns of an image in pos, got some too far apart")
        self.place = pos[:, 0] * self.row + pos[:, 1]
        self.taken, self.node = self.place.sort()
        if (self.taken.diff() == 0).any():
            raise ValueError("expected one node per row and column of an image, got two in one")

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> Found:
        """Only the nodes themselves can be asked for: `query` is None."""
        x, side = self.x, 2 * self.radius + 1
        found = []
        chunk = max(1, self.budget // (side**2 * x.size(1)))
        for nodes in torch.arange(len(x), device=x.device).split(chunk):
            candidate = self._around(nodes)
            if self.metric == "cosine":
                value = torch.einsum("nd,nmd->nm", x[nodes], x[candidate])
            else:
                value = -(x[nodes, None] - x[candidate]).square().sum(-1)
            value.masked_fill_(candidate < 0, -torch.inf)
            if hidden is not None:
                value.masked_fill_(hidden[candidate], -torch.inf)
            value, index = value.topk(min(k, side**2), dim=1)
            found.append((candidate.gather(1, index), value))
        return join(found, 0)

    def _around(self, nodes: Tensor) -> Tensor:
        """Give the nodes in the window of each `(n, (2 radius + 1)^2)`, -1 where there is none."""
        radius, side = self.radius, 2 * self.radius + 1
        step = torch.arange(side, device=nodes.device)
        first = self.place[nodes, None] + (step - radius) * self.row - radius  # of each row
        at = torch.searchsorted(self.taken, first)[..., None] + step  # taken ones follow each other
        inside = at.clamp(max=len(self.taken) - 1)
        there = (at == inside) & (self.taken[inside] < first[..., None] + side)
        candidate = torch.where(there, self.node[inside], -1)
        return torch.where(candidate == nodes[:, None, None], -1, candidate).flatten(1)
