"""The teacher: an average of the student over time."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from pyg_mllc.errors import InputError


class Teacher(nn.Module):
    r"""Frozen exponential moving average of a student, normalization buffers included.

    .. math::
        \theta_t = \alpha\, \theta_{t-1} + (1 - \alpha)\, \theta^{\mathrm{student}}_t, \qquad
        \alpha = \min(1 - 1 / (t + 1), \; \mathrm{decay})

    Always in eval mode and without gradients (Tarvainen and Valpola, 2017).

    Args:
        student: the network to average.
        decay: bound of alpha, in [0, 1]; early, while t is small, the teacher follows faster.

    Raises:
        InputError: if the decay is out of range.
    """

    updates: torch.Tensor

    def __init__(self, student: nn.Module, decay: float = 0.99) -> None:
        if not 0 <= decay <= 1:
            raise InputError(f"expected method.decay in [0, 1], got {decay}")
        super().__init__()
        self.network: Any = deepcopy(student).requires_grad_(False)
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.eval()

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in eval mode.

        Args:
            mode: ignored.

        Returns:
            The teacher itself.
        """
        return super().train(False)

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Update the average with the present student; integer buffers are copied.

        Args:
            student: of the same structure as the one averaged.
        """
        alpha = min(1 - 1 / (int(self.updates) + 1), self.decay)
        # Not the state dict, which holds tensors that modules share more than once.
        averages = [*self.network.parameters(), *self.network.buffers()]
        values = [*student.parameters(), *student.buffers()]
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1 - alpha)
            else:
                average.copy_(value)
        self.updates += 1
