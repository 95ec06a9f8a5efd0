"""Class-level graph, all of it: who agrees, joined through hubs."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData

from graphs.propagate import EPS
from graphs.validation import check_batch, check_labels, check_nodes, describe

Agree = Literal["label", "overlap"]


class ClassHubs(NamedTuple):
    r"""The class-level graph, factored through hubs.

    Every pair of nodes that agree on the label is joined, far too many pairs to store. But inside a
    block of agreeing nodes the weights are :math:`G = Q Q^\top`, so a node reaches all of its block
    through C hubs: node -> hub -> node costs O(N C D) and gives the same as all pairs.
    """

    order: Tensor  # (N,), nodes sorted by block (image and label, or image)
    sizes: list[int]  # nodes in each block
    weight: Tensor  # (N, C), joins each node to the C hubs of its block

    def propagate(self, x: Tensor) -> Tensor:
        r"""Sum the values of all agreeing nodes: :math:`x' = \hat G x`.

        Args:
            x: values `(N, D)`; the sum is differentiable with respect to them.

        Returns:
            `(N, D)`.

        Raises:
            ValueError: if there is not one value per node.
        """
        if x.dim() != 2 or len(x) != len(self.weight):
            raise ValueError(f"expected values ({len(self.weight)}, D), got {describe(x)}")
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            weight = self.weight[self.order].to(x.dtype)
            values = x.index_select(0, self.order)
            out = _by_block(weight, values, self.sizes)
            return torch.zeros_like(x).index_copy(0, self.order, out)

    def weights_to(self, node: int) -> Tensor:
        r"""Return the weights :math:`\hat G_{ij}` of one node i's neighbors j `(N,)`."""
        place = int((self.order == node).nonzero())
        ends = self.order.new_tensor(self.sizes).cumsum(0)
        block = int(torch.searchsorted(ends, place, right=True))
        members = self.order[int(ends[block]) - self.sizes[block] : int(ends[block])]
        joined = self.weight[members] @ self.weight[node]
        return self.weight.new_zeros(len(self.weight)).index_copy(0, members, joined)

    def to_hetero(self) -> HeteroData:
        """Give the hubs as a bipartite PyG graph: node to hub, and hub to node.

        Messages over both edge types, summed, give what `propagate` gives.

        Returns:
            `HeteroData` with node types `pixel` (N) and `hub` (C per block), and edge types
            `(pixel, joins, hub)` and `(hub, reaches, pixel)` with `edge_index (2, N * C)`, sorted
            by target, and `edge_weight (N * C,)`.
        """
        n, c = self.weight.shape
        block = torch.arange(len(self.sizes), device=self.order.device)
        of_sorted = block.repeat_interleave(block.new_tensor(self.sizes))
        hub = of_sorted[:, None] * c + torch.arange(c, device=block.device)  # of nodes by block
        pixel = self.order[:, None].expand(n, c)
        weight = self.weight[self.order]
        to_pixel = hub.flatten(), pixel.flatten(), weight.flatten()
        graph = HeteroData()
        graph["pixel"].num_nodes, graph["hub"].num_nodes = n, len(self.sizes) * c
        for name, (source, target, value) in {
            ("pixel", "joins", "hub"): (to_pixel[1], to_pixel[0], to_pixel[2]),
            ("hub", "reaches", "pixel"): to_pixel,
        }.items():
            target, place = target.sort(stable=True)
            graph[name].edge_index = torch.stack([source[place], target])
            graph[name].edge_weight = value[place]
        return graph


def _by_block(weight: Tensor, values: Tensor, sizes: list[int]) -> Tensor:
    """Sum :math:`Q Q^T X` of each block of rows."""
    widest = max(sizes, default=0)
    if len(sizes) * widest > 2 * len(values):
        parts = zip(weight.split(sizes), values.split(sizes), strict=True)
        return torch.cat([q @ (q.T @ x) for q, x in parts])
    # Blocks of about one size, padded to the widest, are one product: several times faster.
    size = torch.tensor(sizes, device=values.device, dtype=torch.long)
    shift = widest * torch.arange(len(sizes), device=size.device) - (size.cumsum(0) - size)
    slot = torch.arange(len(values), device=size.device) + shift.repeat_interleave(size)
    q, x = (
        part.new_zeros(len(sizes) * widest, part.size(1))
        .index_copy(0, slot, part)
        .unflatten(0, (len(sizes), widest))
        for part in (weight, values)
    )
    return (q @ (q.transpose(1, 2) @ x)).flatten(0, 1).index_select(0, slot)


def check_agree(agree: str) -> None:
    """Raise if nodes cannot agree in that way."""
    if agree not in ("label", "overlap"):
        raise ValueError(f"expected agree 'label' or 'overlap', got {agree!r}")


def agreement(
    logits: Tensor, label: Tensor | None, batch: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return unit posteriors q `(N, C)` of the nodes, labels, and images 0, 1, ..., all checked."""
    check_nodes(logits, "logits")
    label = check_labels(logits.argmax(1) if label is None else label, *logits.shape)
    batch = check_batch(batch, len(logits))
    with torch.autocast(logits.device.type, enabled=False):
        q = F.normalize(logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1))
    return q, label, torch.zeros_like(label) if batch is None else _numbered(batch)


@torch.no_grad()
def class_hubs(
    logits: Tensor,
    label: Tensor | None = None,
    batch: Tensor | None = None,
    *,
    agree: Agree = "label",
) -> ClassHubs:
    r"""Join all nodes of an image that agree on their label, exactly, through hubs.

    .. math::
        q_i = \frac{\mathrm{softmax}(Z_i)}{\|\mathrm{softmax}(Z_i)\|_2}, \quad
        G_{ij} = [y_i = y_j]\, q_i^\top q_j, \quad
        \hat G = e^{-1/2} G e^{-1/2}, \; e_i = \sum_j G_{ij} + 10^{-10}

    Features flow over this graph: nodes of one class should look alike. (MLLC, class-level graph.)

    Args:
        logits: `Z (N, C)`, finite.
        label: `y (N,)`, by which nodes agree; by default the largest logit.
        batch: image of each node `(N,)`, ascending; by default all belong to one image.
        agree: on the `label`, or, whatever the label, by the `overlap` of the posteriors:
            :math:`G_{ij} = q_i^\top q_j`, which changes continuously with the logits.

    Returns:
        `ClassHubs`, normalized.

    Raises:
        ValueError: if the shapes do not fit each other, or a label is out of range.

    >>> hubs = class_hubs(torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]]))
    >>> hubs.propagate(torch.tensor([[1.0], [3.0], [5.0]])).round(decimals=3).flatten()
    tensor([2., 2., 5.])
    """
    check_agree(agree)
    q, label, batch = agreement(logits, label, batch)
    block = batch * logits.size(1) + label if agree == "label" else batch
    block, order = block.sort(stable=True)
    sizes = block.unique_consecutive(return_counts=True)[1].tolist()
    place = torch.empty_like(order).index_copy_(0, order, _numbered(block))
    total = q.new_zeros(len(sizes), q.size(1)).index_add_(0, place, q)
    degree = (q * total[place]).sum(1) + EPS  # e_i = q_i . (sum of the block's q_j)
    return ClassHubs(order, sizes, q * degree.rsqrt()[:, None])


def _numbered(sorted_block: Tensor) -> Tensor:
    """Number sorted blocks 0, 1, 2, ..."""
    return sorted_block.unique_consecutive(return_inverse=True)[1]
