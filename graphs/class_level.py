"""Class-level graph: all pairs of agreeing nodes through hubs, or explicit edges."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graphs.precision import at_least_float32
from graphs.propagate import EPS
from graphs.validation import check_batch, check_labels, check_neighbors, check_nodes, describe

Agreement = Literal["label", "overlap"]
Form = Literal["sampled", "dense"]


class ClassHubs(NamedTuple):
    r"""Class-level graph in factored form.

    Every pair of agreeing nodes is joined, too many pairs to store. But inside a block of agreeing
    nodes the weights are :math:`G = Q Q^\top`. So a node reaches its whole block through C hubs:
    node -> hub -> node costs O(N C D) and gives the same result as all pairs.
    """

    order: Tensor  # (N,), nodes sorted by block (image and label, or image)
    sizes: list[int]  # nodes in each block
    weight: Tensor  # (N, C), between each node and the C hubs of its block

    def propagate(self, x: Tensor) -> Tensor:
        r"""Compute weighted sums over all agreeing nodes: :math:`x' = \hat G x`.

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
            x = at_least_float32(x)
            weight = self.weight[self.order].to(x.dtype)
            values = x.index_select(0, self.order)
            out = _block_product(weight, values, self.sizes)
            return torch.zeros_like(x).index_copy(0, self.order, out)

    def weights_to(self, node: int) -> Tensor:
        r"""Return the weights :math:`\hat G_{ij}` of all neighbors j of a node i.

        Args:
            node: i.

        Returns:
            `(N,)`; 0 for nodes that do not agree with node i.
        """
        place = int((self.order == node).nonzero())
        ends = self.order.new_tensor(self.sizes).cumsum(0)
        block = int(torch.searchsorted(ends, place, right=True))
        members = self.order[int(ends[block]) - self.sizes[block] : int(ends[block])]
        weight = self.weight[members] @ self.weight[node]
        return self.weight.new_zeros(len(self.weight)).index_copy(0, members, weight)

    def to_hetero(self) -> HeteroData:
        """Return the graph as a bipartite PyG graph: nodes to hubs, and hubs to nodes.

        Messages along both edge types, one after the other, give the result of `propagate`.

        Returns:
            `HeteroData` with node types `pixel` (N) and `hub` (C per block), and edge types
            `(pixel, joins, hub)` and `(hub, reaches, pixel)` with `edge_index (2, N * C)`, sorted
            by target, and `edge_weight (N * C,)`.
        """
        n, c = self.weight.shape
        block = torch.arange(len(self.sizes), device=self.order.device)
        block_of_sorted = block.repeat_interleave(block.new_tensor(self.sizes))
        hub = block_of_sorted[:, None] * c + torch.arange(c, device=block.device)
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


@torch.no_grad()
def class_hubs(
    logits: Tensor,
    label: Tensor | None = None,
    batch: Tensor | None = None,
    *,
    agreement: Agreement = "label",
) -> ClassHubs:
    r"""Build the class-level graph over all pairs of agreeing nodes, exactly, through hubs.

    .. math::
        q_i = \frac{\mathrm{softmax}(Z_i)}{\|\mathrm{softmax}(Z_i)\|_2}, \quad
        G_{ij} = [y_i = y_j]\, q_i^\top q_j, \quad
        \hat G = e^{-1/2} G e^{-1/2}, \; e_i = \sum_j G_{ij} + 10^{-10}

    Features flow over this graph: nodes of the same class should look alike. (MLLC, class-level
    graph.)

    Args:
        logits: `Z (N, C)`, finite.
        label: `y (N,)`; the largest logit if None.
        batch: image of each node `(N,)`, ascending; a single image if None.
        agreement: `label` joins nodes of the same label; `overlap` joins all nodes of an image:
            :math:`G_{ij} = q_i^\top q_j`, which changes continuously with the logits.

    Returns:
        `ClassHubs`, normalized.

    Raises:
        ValueError: if shapes do not match, a label is out of range, or `agreement` is unknown.

    >>> hubs = class_hubs(torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]]))
    >>> hubs.propagate(torch.tensor([[1.0], [3.0], [5.0]])).round(decimals=3).flatten()
    tensor([2., 2., 5.])
    """
    q, block = _posteriors_and_blocks(logits, label, batch, agreement)
    block, order = block.sort(stable=True)
    sizes = block.unique_consecutive(return_counts=True)[1].tolist()
    place = torch.empty_like(order).index_copy_(0, order, _renumber(block))
    total = q.new_zeros(len(sizes), q.size(1)).index_add_(0, place, q)
    degree = (q * total[place]).sum(1) + EPS  # e_i = q_i . (sum of the block's q_j)
    return ClassHubs(order, sizes, q * degree.rsqrt()[:, None])


@torch.no_grad()
def class_graph(
    logits: Tensor,
    label: Tensor | None = None,
    batch: Tensor | None = None,
    *,
    form: Form = "sampled",
    k: int = 20,
    agreement: Agreement = "label",
    threshold: float = 0.0,
    generator: torch.Generator | None = None,
) -> Data:
    r"""Build the class-level graph with explicit edges: a sample of all pairs, or all of them.

    For layers that need every edge, such as attention. `sampled` draws `k` partners of each node
    uniformly from all that agree with it, with replacement. So the plain mean of
    :math:`w_{ij} x_j` over them is an unbiased estimate of the mean over all. (The *most similar*
    k do not work: saturated posteriors are all tied, so few nodes would become everyone's
    neighbor.) `dense` keeps all N^2 pairs, for tests.

    Args:
        logits: `Z (N, C)`, finite.
        label: `y (N,)`; the largest logit if None.
        batch: image of each node `(N,)`, ascending; a single image if None.
        form: `sampled` or `dense`.
        k: partners drawn per node.
        agreement: `label` joins nodes of the same label; `overlap` joins all nodes of an image.
        threshold: minimum affinity :math:`q_i^\top q_j` of a pair; pairs below it are dropped. If
            above zero, every node gets a self-loop, so that no node is isolated.
        generator: random generator of the draw.

    Returns:
        A graph with `edge_index (2, E)`, source then target, sorted by target; `edge_weight (E,)`,
        the affinity in [0, 1]; `num_nodes`. Every node agrees with itself.

    Raises:
        ValueError: if shapes do not match, a label is out of range, or an option is unknown.
    """
    q, block = _posteriors_and_blocks(logits, label, batch, agreement)
    if form not in ("sampled", "dense"):
        raise ValueError(f"expected form 'sampled' or 'dense', got {form!r}")
    check_neighbors(k)
    if not 0 <= threshold <= 1:
        raise ValueError(f"expected threshold in [0, 1], got {threshold!r}")
    if form == "dense":
        target, source = (block[:, None] == block).nonzero(as_tuple=True)
    else:
        target, source = _draw_partners(block, k, generator, self_loops=threshold > 0)
    weight = (q[source] * q[target]).sum(1).clamp(max=1)
    kept = (weight >= threshold) | (source == target)
    edge_index = torch.stack([source[kept], target[kept]])
    return Data(edge_index=edge_index, edge_weight=weight[kept], num_nodes=len(logits))


def _posteriors_and_blocks(
    logits: Tensor, label: Tensor | None, batch: Tensor | None, agreement: Agreement
) -> tuple[Tensor, Tensor]:
    """Return posteriors of unit length `(N, C)`, and the block of agreeing nodes of each `(N,)`."""
    if agreement not in ("label", "overlap"):
        raise ValueError(f"expected agreement 'label' or 'overlap', got {agreement!r}")
    check_nodes(logits, "logits")
    label = check_labels(logits.argmax(1) if label is None else label, *logits.shape)
    batch = check_batch(batch, len(logits))
    image = torch.zeros_like(label) if batch is None else _renumber(batch)
    with torch.autocast(logits.device.type, enabled=False):
        q = F.normalize(at_least_float32(logits).softmax(1))
    return q, image * logits.size(1) + label if agreement == "label" else image


def _renumber(group: Tensor) -> Tensor:
    """Number sorted groups 0, 1, 2, ..."""
    number: Tensor = group.unique_consecutive(return_inverse=True)[1]
    return number


def _block_product(weight: Tensor, values: Tensor, sizes: list[int]) -> Tensor:
    """Compute :math:`Q Q^T X` of each block of rows."""
    widest = max(sizes, default=0)
    if len(sizes) * widest > 2 * len(values):
        parts = zip(weight.split(sizes), values.split(sizes), strict=True)
        return torch.cat([q @ (q.T @ x) for q, x in parts])
    # Blocks of similar sizes, padded to the widest, are one batched product: several times faster.
    size = torch.tensor(sizes, device=values.device, dtype=torch.long)
    shift = widest * torch.arange(len(sizes), device=size.device) - (size.cumsum(0) - size)
    slot = torch.arange(len(values), device=size.device) + shift.repeat_interleave(size)
    q, x = (
        part.new_zeros(len(sizes) * widest, part.size(1))
        .index_copy(0, slot, part)
        .unflatten(0, (len(sizes), widest))
        for part in (weight, values)
    )
    out: Tensor = (q @ (q.transpose(1, 2) @ x)).flatten(0, 1)
    return out.index_select(0, slot)


def _draw_partners(
    block: Tensor, k: int, generator: torch.Generator | None, self_loops: bool
) -> tuple[Tensor, Tensor]:
    """Draw k partners of each node uniformly from its block; return targets and sources."""
    sorted_block, order = block.sort(stable=True)
    size = sorted_block.unique_consecutive(return_counts=True)[1]
    start = (size.cumsum(0) - size).repeat_interleave(size)[:, None]
    size = size.repeat_interleave(size)[:, None]
    offset = torch.rand(len(block), k, generator=generator, device=block.device) * size
    partner = order[start + offset.long().clamp(max=size - 1)]  # rounding may reach the end
    if self_loops:
        partner = torch.cat([order[:, None], partner], dim=1)
    target, place = order.repeat_interleave(partner.size(1)).sort(stable=True)
    return target, partner.flatten()[place]
