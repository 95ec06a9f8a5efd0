"""Loss functions, defined even if no pixel is labeled."""

import torch
import torch.nn.functional as F
from torch import Tensor

from graphs.precision import at_least_float32
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.distributed import mean_over_processes
from pyg_mllc.utils.resize import upsample


def masked_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Compute the mean cross entropy over labeled pixels.

    .. math::
        \mathcal{L} = \frac{\sum_i w_i\, [y_i \neq \mathrm{IGNORE}]\, \mathrm{CE}(Z_i, y_i)}
                           {\sum_i [y_i \neq \mathrm{IGNORE}]}

    Args:
        logits: `(B, C, h, w)`, upsampled to the labels' size.
        label: `(B, H, W)`, with IGNORE where there is none.
        weight: w `(B, H, W)`; 1 by default.

    Returns:
        A scalar; zero, and still differentiable, if no pixel carries a label.

    >>> masked_cross_entropy(torch.zeros(1, 4, 2, 2), torch.full((1, 2, 2), IGNORE))
    tensor(0.)
    """
    logits = upsample(at_least_float32(logits), label.shape[-2:])
    loss = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none")
    if weight is not None:
        loss = loss * weight
    return loss.sum() / _number_of_terms((label != IGNORE).sum())


def pseudo_label_weight(
    confidence: Tensor, rule: str, threshold: float = 0.95, power: float = 6.0
) -> Tensor:
    r"""Compute the weight of each pixel of a teacher's label from its confidence m.

    Args:
        confidence: m `(B, H, W)`.
        rule: `power`: :math:`m^p`, as published for MLLC; `hard`: 1 where :math:`m \ge \tau`, else
            0; `uniform`: the share of all the map's pixels, padding included, with
            :math:`m \ge 0.968`.
        threshold: tau.
        power: p.

    Returns:
        `(B, H, W)`.

    Raises:
        ValueError: if there is no such rule.

    >>> pseudo_label_weight(torch.tensor([[[0.5, 0.97]]]), "uniform")
    tensor([[[0.5000, 0.5000]]])
    """
    if rule == "power":
        return confidence**power
    if rule == "hard":
        return (confidence >= threshold).to(confidence)
    if rule == "uniform":
        sure = (confidence >= 0.968).to(confidence)
        return sure.mean((1, 2), keepdim=True).expand_as(confidence)
    raise ValueError(f"expected the weight to be power, hard or uniform, got {rule!r}")


def info_nce(features: Tensor, label: Tensor, temperature: float = 0.1) -> Tensor:
    r"""Compute a contrastive loss: nodes of one label attract, all others repel.

    .. math::
        \mathcal{L} = \frac{1}{|I|} \sum_{i \in I} \frac{-1}{|P_i|} \sum_{p \in P_i}
        \log \frac{\exp(F_i^\top F_p / T)}{\sum_{a \neq i} \exp(F_i^\top F_a / T)}

    with unit features and :math:`P_i` the other nodes of i's label (supervised contrastive loss,
    Khosla et al., 2020, eq. 2).

    Args:
        features: `(..., N, D)`; leading dimensions are contrasted apart.
        label: `(..., N)`, with IGNORE for nodes that take no part.
        temperature: T.

    Returns:
        A scalar; zero, and still differentiable, if no two nodes share a label.
    """
    known = label != IGNORE
    pair = known[..., :, None] & known[..., None, :]
    pair = pair & ~torch.eye(label.size(-1), dtype=torch.bool, device=label.device)
    positive = pair & (label[..., :, None] == label[..., None, :])
    with torch.autocast(features.device.type, enabled=False):  # in half precision it errs by tenths
        unit = F.normalize(at_least_float32(features), dim=-1)
        similarity = unit @ unit.transpose(-1, -2) / temperature
    floor = torch.finfo(similarity.dtype).min  # finite: a node without pairs gives no NaN
    log_p = similarity.masked_fill(~pair, floor).log_softmax(-1).masked_fill(~positive, 0)
    count = positive.sum(-1)
    per_node = -log_p.sum(-1) / count.clamp(min=1)
    return per_node.sum() / _number_of_terms((count > 0).sum())


def prototype_loss(
    features: Tensor, label: Tensor, prototypes: Tensor, seen: Tensor, scale: float = 10.0
) -> Tensor:
    r"""Compute a loss that pulls each node to the prototype of its class, away from the others.

    .. math::
        \mathcal{L} = \mathrm{mean}_i\, \mathrm{CE}\big(s\,[\cos(F_i, \mu_c)]_c,\; y_i\big)

    Args:
        features: `(N, D)`.
        label: `(N,)`, with IGNORE for nodes that take no part.
        prototypes: mu `(C, D)`.
        seen: `(C,)` bool; a class without a prototype takes no part.
        scale: s, an inverse temperature.

    Returns:
        A scalar; zero, and still differentiable, if no node takes part.
    """
    with torch.autocast(features.device.type, enabled=False):
        unit = F.normalize(at_least_float32(features), dim=-1)
        cosine = unit @ F.normalize(prototypes, dim=-1).T
    logits = (scale * cosine).masked_fill(~seen, torch.finfo(cosine.dtype).min)
    takes_part = (label != IGNORE) & seen[label.clamp(max=len(seen) - 1)]
    target = torch.where(takes_part, label, IGNORE)
    loss = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
    return loss / _number_of_terms(takes_part.sum())


def _number_of_terms(count: Tensor) -> Tensor:
    """Return the mean over processes, or 1 if it is 0, against division by zero."""
    mean = mean_over_processes(count.float())
    return torch.where(mean > 0, mean, 1.0)
