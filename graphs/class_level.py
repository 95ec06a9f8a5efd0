"""Class-level graph: who agrees."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphs.propagate import EPS


class ClassHubs(NamedTuple):
    r"""The class-level graph, factored through hubs.

    Every pair of nodes that agree on the label is joined, far too many pairs to store. But inside a
    block of agreeing nodes the weights are :math:`G = Q Q^\top`, so a node reaches all of its block
    through C hubs: node -> hub -> node costs O(N C D) and gives the same as all pairs.
    """

    order: Tensor  # (N,), nodes sorted by block (image and label)
    sizes: list[int]  # nodes in each block
    weight: Tensor  # (N, C), joins each node to the C hubs of its block

    def propagate(self, x: Tensor) -> Tensor:
        r"""Sum the values of all agreeing nodes: :math:`x' = \hat G x`.

        Args:
            x: values `(N, D)`; the sum is differentiable with respect to them.

        Returns:
            `(N, D)`.
        """
        weight, x = self.weight[self.order].to(x.dtype), x[self.order]
        blocks = zip(weight.split(self.sizes), x.split(self.sizes), strict=True)
        out = torch.cat([q @ (q.T @ values) for q, values in blocks])
        return out[self.order.argsort()]


@torch.no_grad()
def class_hubs(
    logits: Tensor, label: Tensor | None = None, batch: Tensor | None = None
) -> ClassHubs:
    r"""Join all nodes of an image that agree on their label, exactly, through hubs.

    .. math::
        q_i = \frac{\mathrm{softmax}(Z_i)}{\|\mathrm{softmax}(Z_i)\|_2}, \quad
        G_{ij} = [y_i = y_j]\, q_i^\top q_j, \quad
        \hat G = e^{-1/2} G e^{-1/2}, \; e_i = \sum_j G_{ij} + 10^{-10}

    Features flow over this graph: nodes of one class should look alike. (MLLC, class-level graph.)

    Args:
        logits: `Z (N, C)`.
        label: `y (N,)`, by which nodes agree; by default the largest logit.
        batch: image of each node `(N,)`; by default all belong to one image.

    Returns:
        `ClassHubs`, normalized.

    Raises:
        ValueError: if the shapes do not fit each other.

    >>> hubs = class_hubs(torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]]))
    >>> hubs.propagate(torch.tensor([[1.0], [3.0], [5.0]])).round(decimals=3).flatten()
    tensor([2., 2., 5.])
    """
    if logits.dim() != 2:
        raise ValueError(f"expected logits (N, C), got shape {tuple(logits.shape)}")
    n, num_classes = logits.shape
    label = logits.argmax(1) if label is None else label
    batch = torch.zeros_like(label) if batch is None else batch
    if label.shape != (n,) or batch.shape != (n,):
        raise ValueError(
            f"expected label and batch of shape ({n},) for logits {tuple(logits.shape)}, "
            f"got {tuple(label.shape)} and {tuple(batch.shape)}"
        )
    with torch.autocast(logits.device.type, enabled=False):
        q = F.normalize(logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1))
    block = batch * num_classes + label
    block, order = block.sort(stable=True)
    sizes = block.unique_consecutive(return_counts=True)[1].tolist()
    sums = [part.sum(0).expand(len(part), -1) for part in q[order].split(sizes)]
    degree = (q[order] * torch.cat(sums)).sum(1) + EPS  # e_i = q_i . sum of the block's q_j
    return ClassHubs(order, sizes, q * degree.rsqrt()[order.argsort()][:, None])
