"""Nearest neighbors among the pixels around."""

import torch
from torch import Tensor

from graphs.search import Found, Metric, join


class WindowSearch:
    """Compare each node with those at most `radius` rows and columns away, in linear time.

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
        self.pos = pos.long()
        if len(self.pos.unique(dim=0)) < len(self.pos):
            raise ValueError("expected one node per row and column of an image, got two in one")

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> Found:
        """Only the nodes themselves can be asked for: `query` is None."""
        x, radius = self.x, self.radius
        pos = self.pos - self.pos.amin(0) + radius
        grid = pos.new_full((pos.amax(0) + radius + 1).tolist(), -1)
        grid[pos[:, 0], pos[:, 1]] = torch.arange(len(x), device=x.device)
        side = torch.arange(-radius, radius + 1, device=x.device)
        step = torch.cartesian_prod(side, side)
        step = step[step.any(dim=1)]  # not the node itself
        found = []
        chunk = max(1, self.budget // (len(step) * x.size(1)))
        for rows in torch.arange(len(x), device=x.device).split(chunk):
            at = pos[rows, None] + step  # (rows, steps, 2)
            candidate = grid[at[..., 0], at[..., 1]]
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
