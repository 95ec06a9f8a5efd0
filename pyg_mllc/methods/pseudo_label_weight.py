"""Weights of pseudo-labels, by fixed rules or by what the confidence of earlier batches was."""

import torch
from torch import Tensor, nn

from pyg_mllc.losses import pseudo_label_weight
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.distributed import sum_over_processes

MOMENTUM = 0.999


class PseudoLabelWeight(nn.Module):
    r"""Weight of each pixel of a teacher's label, from its confidence m.

    Rules beside those of `pseudo_label_weight` compare m with moving averages over batches, of its
    mean :math:`\mu`, its variance :math:`\sigma^2` and the mean probability :math:`p_c` of each
    class:

    .. math::
        w_i = \exp\Big( -\frac{\min(0, m_i - \mu)^2}{2 \sigma^2 / 4} \Big)
        \quad \text{or} \quad
        w_i = [m_i \ge \tau_{y_i}], \; \tau_c = \mu \, p_c / \max_{c'} p_{c'}

    `softmatch` (Chen et al., ICLR 2023) is the first, without its alignment of distributions;
    `freematch` (Wang et al., ICLR 2023) is the second, without its fairness loss. A share
    :math:`\min(1 - 1 / (t + 1), 0.999)` of each average stays in step t, so that the first batch
    sets them. The averages are over all processes, and in `state_dict` for these two rules.

    Args:
        num_classes: C.
        rule: `softmatch`, `freematch`, or a rule of `pseudo_label_weight`.
        threshold: tau of `hard`.
        power: p of `power`.

    Raises:
        ValueError: if there is no such rule.

    >>> weight, label = PseudoLabelWeight(2, "freematch"), torch.tensor([[[0, 0, 1]]])
    >>> weight(torch.tensor([[0.9, 0.6, 0.4], [0.1, 0.4, 0.6]]).view(1, 2, 1, 3), label)
    tensor([[[1., 0., 1.]]])
    """

    mean: Tensor
    variance: Tensor
    class_shares: Tensor
    updates: Tensor

    def __init__(
        self, num_classes: int, rule: str = "hard", threshold: float = 0.95, power: float = 6.0
    ) -> None:
        super().__init__()
        self.rule, self.threshold, self.power = rule, threshold, power
        self.adapts = rule in ("softmatch", "freematch")
        if self.adapts:
            self.register_buffer("mean", torch.zeros(()))
            self.register_buffer("variance", torch.zeros(()))
            self.register_buffer("class_shares", torch.zeros(num_classes))
            self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        else:
            pseudo_label_weight(torch.ones(1, 1, 1), rule, threshold, power)

    @torch.no_grad()
    def forward(self, probabilities: Tensor, label: Tensor) -> Tensor:
        """Compute the weights; in training mode, update the averages before.

        Args:
            probabilities: of the teacher `(B, C, H, W)`.
            label: most probable class `(B, H, W)`; IGNORE in padding, which is not averaged.

        Returns:
            `(B, H, W)`.
        """
        confidence = probabilities.amax(1)
        if not self.adapts:
            return pseudo_label_weight(confidence, self.rule, self.threshold, self.power)
        if self.training:
            known = (label != IGNORE) & confidence.isfinite()
            self._update(probabilities.movedim(1, -1)[known])
        tiny = torch.finfo(confidence.dtype).tiny
        if self.rule == "softmatch":
            gap = (confidence - self.mean).clamp(max=0)
            return (-(gap**2) / (self.variance / 2).clamp(min=tiny)).exp()
        thresholds = self.mean * self.class_shares / self.class_shares.max().clamp(min=tiny)
        least = thresholds[label.clamp(max=len(thresholds) - 1)]
        return (confidence >= least).to(confidence)

    def _update(self, probabilities: Tensor) -> None:
        """Update the averages with the pixels `(N, C)` of all processes."""
        count = sum_over_processes(torch.tensor(len(probabilities), device=probabilities.device))
        if not count:
            return
        confidence = probabilities.amax(1)
        shares = sum_over_processes(probabilities.sum(0)) / count
        mean = sum_over_processes(confidence.sum()) / count
        variance = sum_over_processes(((confidence - mean) ** 2).sum()) / count
        alpha = min(1 - 1 / (int(self.updates) + 1), MOMENTUM)
        averages = (self.mean, mean), (self.variance, variance), (self.class_shares, shares)
        for average, value in averages:
            average.lerp_(value.to(average), 1 - alpha)
        self.updates += 1
