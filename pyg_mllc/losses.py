"""Loss functions, defined even if no pixel is labeled."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs.precision import at_least_float32
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.distributed import mean_over_processes
from pyg_mllc.utils.resize import upsample
from pyg_mllc.utils.validation import check_type


def masked_cross_entropy(
    logits: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    class_weight: Tensor | None = None,
) -> Tensor:
    r"""Compute the mean cross entropy over labeled pixels.

    .. math::
        \mathcal{L} = \frac{\sum_i w_i\, v_{y_i} [y_i \neq \mathrm{IGNORE}]\, \mathrm{CE}(Z_i, y_i)}
                           {\sum_i v_{y_i} [y_i \neq \mathrm{IGNORE}]}

    Args:
        logits: `(B, C, h, w)`, upsampled to the labels' size.
        label: `(B, H, W)`, with IGNORE where there is none.
        weight: w `(B, H, W)`; 1 by default.
        class_weight: v `(C,)`; 1 by default.

    Returns:
        A scalar; zero, and still differentiable, if no pixel carries a label.

    >>> masked_cross_entropy(torch.zeros(1, 4, 2, 2), torch.full((1, 2, 2), IGNORE))
    tensor(0.)
    """
    logits = upsample(at_least_float32(logits), label.shape[-2:])
    loss = F.cross_entropy(logits, label, class_weight, ignore_index=IGNORE, reduction="none")
    if weight is not None:
        loss = loss * weight
    terms = label != IGNORE
    if class_weight is not None:
        terms = terms * class_weight[label.clamp(max=len(class_weight) - 1)]
    return loss.sum() / _number_of_terms(terms.sum())


class SupervisedLoss(nn.Module):
    r"""Cross entropy over labeled pixels, by default the same for all classes.

    .. math::
        \mathcal{L} = \frac{\sum_i v_{y_i}\, \mathrm{CE}(Z_i + \tau \log \pi,\; y_i)}
                           {\sum_i v_{y_i}}

    over pixels i with a label, where :math:`\pi_c` is the share of class c among all labeled
    pixels of the data set. With :math:`\tau > 0` the logits learn to predict as if all classes
    were equally frequent (logit adjustment, Menon et al., ICLR 2021). Class weights do so
    by weighing errors: `enet` is :math:`v_c = 1 / \ln(1.02 + \pi_c)` (Paszke et al., 2016),
    `inverse` is :math:`v_c = 1 / \pi_c`. A class without labeled pixels counts as the most
    frequent one, so that nothing favors it. The shares are in `state_dict` if they are needed.

    Args:
        num_classes: C.
        logit_adjustment: tau: 1 for all of the adjustment, 0 for none.
        class_weights: `none`, `enet`, `inverse`, or a list of C numbers v.

    Raises:
        InputError: if `logit_adjustment` or `class_weights` is none of these.

    >>> loss, label = SupervisedLoss(2, logit_adjustment=1.0), torch.tensor([[[1]]])
    >>> loss.set_class_counts(torch.tensor([90, 10]))
    >>> loss(torch.zeros(1, 2, 1, 1), label)  # -log 0.1: a rare class has to win by more
    tensor(2.3026)
    """

    class_shares: Tensor | None

    def __init__(
        self,
        num_classes: int,
        logit_adjustment: float = 0.0,
        class_weights: str | Sequence[float] = "none",
    ) -> None:
        super().__init__()
        option = "method.supervised_loss.logit_adjustment"
        check_type(option, logit_adjustment, float)
        if not 0 <= logit_adjustment < float("inf"):
            raise InputError(f"expected {option} to be 0 or more, got {logit_adjustment}")
        _check_class_weights(class_weights, num_classes)
        self.logit_adjustment, self.class_weights = logit_adjustment, class_weights
        shares = torch.zeros(num_classes) if self.needs_class_counts else None
        self.register_buffer("class_shares", shares)

    @property
    def needs_class_counts(self) -> bool:
        """True if `set_class_counts` must be called before the first step."""
        return bool(self.logit_adjustment) or self.class_weights in ("enet", "inverse")

    def set_class_counts(self, counts: Tensor) -> None:
        """Set the shares of the classes.

        Args:
            counts: labeled pixels of each class `(C,)`.

        Raises:
            InputError: if no class has a pixel.
        """
        if not counts.any():
            raise InputError(
                "method.supervised_loss needs labels, and no labeled pixel has a class"
            )
        if self.class_shares is not None:
            filled = torch.where(counts > 0, counts, counts.max())
            self.class_shares.copy_(filled.double() / counts.sum())

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: `(B, C, h, w)`, upsampled to the labels' size.
            label: `(B, H, W)`, with IGNORE where there is none.

        Returns:
            A scalar; zero, and still differentiable, if no pixel carries a label.

        Raises:
            InputError: if the shares of the classes are needed and not set.
        """
        logits = at_least_float32(logits)
        if self.class_shares is not None:
            if not self.class_shares.any():
                raise InputError(
                    "method.supervised_loss needs the shares of the classes: call "
                    "method.prepare(labeled) before the first step"
                )
            logits = logits + self.logit_adjustment * self.class_shares.log()[:, None, None]
        return masked_cross_entropy(logits, label, class_weight=self._class_weight(logits))

    def _class_weight(self, like: Tensor) -> Tensor | None:
        """Return v `(C,)`, in the type and on the device of a tensor; None if all are 1."""
        if self.class_weights == "none":
            return None
        if self.class_shares is None or not isinstance(self.class_weights, str):
            return like.new_tensor(list(self.class_weights))
        shares = self.class_shares.to(like)
        return 1 / (shares if self.class_weights == "inverse" else (1.02 + shares).log())


def _check_class_weights(weights: str | Sequence[float], num_classes: int) -> None:
    if isinstance(weights, str) or not isinstance(weights, Sequence):
        if weights not in ("none", "enet", "inverse"):
            raise InputError(
                "expected method.supervised_loss.class_weights to be none, enet, inverse or a "
                f"list of {num_classes} numbers, got {weights}"
            )
        return
    valid = all(isinstance(w, int | float) and 0 <= w < float("inf") for w in weights)
    if not valid or len(weights) != num_classes or not any(weights):
        raise InputError(
            f"expected method.supervised_loss.class_weights to be {num_classes} numbers of 0 or "
            f"more, not all 0, got {list(weights)}"
        )


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
    raise ValueError(
        f"expected the weighting to be power, hard, uniform, softmatch or freematch, got {rule!r}"
    )


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
