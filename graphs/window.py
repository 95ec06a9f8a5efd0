"""Nearest neighbors among the pixels around."""

import torch
from torch import Tensor

from graphs.search import Found, Metric, join


class WindowSearch:
    """Compare each node with those at most `radius` rows and columns away.

    Memory is linear in the nodes, and time but for a search in their sorted places.

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
        pos = pos.long()
        self.pos = pos - pos.amin(0)
        self.width = int(self.pos[:, 1].amax()) + 1 + radius  # none beyond an edge is another's
        self.place, self.order = self._place(self.pos).sort()
        if (self.place.diff() == 0).any():
            raise ValueError("expected one node per row and column of an image, got two in one")

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> Found:
        """Only the nodes themselves can be asked for: `query` is None."""
        x, radius = self.x, self.radius
        side = torch.arange(-radius, radius + 1, device=x.device)
        step = torch.cartesian_prod(side, side)
        step = step[step.any(dim=1)]  # not the node itself
        found = []
        chunk = max(1, self.budget // (len(step) * x.size(1)))
        for rows in torch.arange(len(x), device=x.device).split(chunk):
            candidate = self._node(self.pos[rows, None] + step)  # (rows, steps)
            if self.metric == "cosine":
                value = torch.einsum("nd,nmd->nm", x[rows], x[candidate])
            else:
                value = -(x[rows, None] - x[candidate]).square().sum(-1)
            value.masked_fill_(candidate < 0, -torch.inf)
            if hidden is not None:
                value.masked_fill_(hidden[candidate], -torch.inf)
            value, index = value.topk(min(k, len(step)), dim=1)
            found.append((candidate.gather(1, index), value))
        return join(found, 0)

    def _place(self, pos: Tensor) -> Tensor:
        """Row and column as one number; what lies beyond an edge has none of a node."""
        return pos[..., 0] * self.width + pos[..., 1]

    def _node(self, pos: Tensor) -> Tensor:
        """Which node is there; -1 if none is."""
        wanted = self._place(pos)
        at = torch.searchsorted(self.place, wanted).clamp(max=len(self.place) - 1)
        return torch.where(self.place[at] == wanted, self.order[at], -1)
