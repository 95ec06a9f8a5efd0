"""Earlier states of a network that predict together."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.distributions import Dirichlet

from pyg_mllc.nn import Segmenter


class Snapshots(nn.Module):
    """The last states of a segmenter, of which a few, drawn at random, predict together.

    All places are in `state_dict` from the start. Always in eval mode and without gradients.

    Args:
        segmenter: whose states are kept.
        places: number of states that are kept, each a copy of the segmenter.
    """

    taken: Tensor

    def __init__(self, segmenter: Segmenter, places: int) -> None:
        super().__init__()
        copies = (deepcopy(segmenter).requires_grad_(False) for _ in range(places))
        self.networks = nn.ModuleList(copies)
        self.register_buffer("taken", torch.zeros((), dtype=torch.long))
        self.eval()

    def train(self, mode: bool = True) -> "Snapshots":
        """Stay in eval mode.

        Args:
            mode: ignored.

        Returns:
            The module itself.
        """
        return super().train(False)

    def add(self, segmenter: Segmenter) -> None:
        """Keep the present state, in place of the oldest if there is no other place.

        Args:
            segmenter: of the same structure as the one before.
        """
        place = self.networks[int(self.taken) % len(self.networks)]
        place.load_state_dict(segmenter.state_dict())
        self.taken += 1

    @torch.no_grad()
    def forward(self, images: Tensor, most: int) -> Tensor:
        r"""Predict images with a random ensemble of the states that were kept.

        .. math::
            Z = \sum_{j=1}^{K} w_j Z_j, \qquad K \sim \mathcal{U}\{1, \dots, \mathrm{most}\},
            \quad w \sim \mathrm{Dirichlet}(1, \dots, 1)

        All states that there are take part if K is more.

        Args:
            images: `(U, 3, H, W)` in [0, 1].
            most: largest number of states that take part.

        Returns:
            Logits `(U, C, h, w)`.
        """
        kept = min(int(self.taken), len(self.networks))
        count = min(int(torch.randint(1, most + 1, ())), kept)
        chosen = torch.randperm(kept)[:count].tolist()
        weights = Dirichlet(torch.ones(count)).sample().tolist()
        logits = [w * self.networks[i](images).logits for i, w in zip(chosen, weights, strict=True)]
        return torch.stack(logits).sum(0)
