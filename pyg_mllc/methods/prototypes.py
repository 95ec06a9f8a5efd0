"""One prototype per class, averaged over iterations."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs.precision import at_least_float32
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.distributed import sum_over_processes


class Prototypes(nn.Module):
    r"""Moving mean of each class's unit features.

    .. math::
        \mu_c \leftarrow m\, \mu_c + (1 - m)\, \mathrm{mean}_{y_i = c} F_i / \|F_i\|

    A class's first features set its prototype. The state is in `state_dict`.

    Args:
        num_classes: C.
        feature_dim: D.
        momentum: m.
    """

    mean: Tensor
    seen: Tensor

    def __init__(self, num_classes: int, feature_dim: int, momentum: float = 0.99) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(num_classes, feature_dim))
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.bool))

    @torch.no_grad()
    def update(self, features: Tensor, label: Tensor) -> None:
        """Update the prototypes with the features of all processes; every process calls it.

        Args:
            features: `(N, D)`.
            label: classes `(N,)`; nodes with IGNORE are left out.
        """
        known = label != IGNORE
        unit, label = F.normalize(at_least_float32(features[known]), dim=1), label[known]
        count = torch.bincount(label, minlength=len(self.seen))
        total = torch.zeros_like(self.mean).index_add_(0, label, unit)
        count, total = sum_over_processes(count), sum_over_processes(total)
        present = count > 0
        mean = total[present] / count[present, None]
        momentum = torch.where(self.seen[present], self.momentum, 0.0)[:, None]
        self.mean[present] = momentum * self.mean[present] + (1 - momentum) * mean
        self.seen |= present
