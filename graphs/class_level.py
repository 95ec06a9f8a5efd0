"""Class-level graph: who agrees."""

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from graphs.adjacency import check_options, describe_transform, store_edges
from graphs.checks import check_batch, check_labels, check_nodes, describe
from graphs.propagate import EPS

Form = Literal["sampled", "dense"]


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

        Raises:
            ValueError: if there is not one value per node.
        """
        if x.dim() != 2 or len(x) != len(self.weight):
            raise ValueError(f"expected values ({len(self.weight)}, D), got {describe(x)}")
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            weight, values = self.weight[self.order].to(x.dtype), x[self.order]
            blocks = zip(weight.split(self.sizes), values.split(self.sizes), strict=True)
            out = [q @ (q.T @ part) for q, part in blocks]
            return torch.zeros_like(x).index_copy(0, self.order, torch.cat([x[:0], *out]))

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
        of_sorted = block.repeat_interleave(torch.tensor(self.sizes, device=block.device))
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


def _agreement(
    logits: Tensor, label: Tensor | None, batch: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Unit posteriors q `(N, C)`, labels and images of the nodes, all checked."""
    check_nodes(logits, "logits")
    label = logits.argmax(1) if label is None else label
    check_labels(label, *logits.shape)
    check_batch(batch, len(logits))
    with torch.autocast(logits.device.type, enabled=False):
        q = F.normalize(logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1))
    return q, label, torch.zeros_like(label) if batch is None else batch


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
        logits: `Z (N, C)`, finite.
        label: `y (N,)`, by which nodes agree; by default the largest logit.
        batch: image of each node `(N,)`, ascending; by default all belong to one image.

    Returns:
        `ClassHubs`, normalized.

    Raises:
        ValueError: if the shapes do not fit each other, or a label is out of range.

    >>> hubs = class_hubs(torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]]))
    >>> hubs.propagate(torch.tensor([[1.0], [3.0], [5.0]])).round(decimals=3).flatten()
    tensor([2., 2., 5.])
    """
    q, label, batch = _agreement(logits, label, batch)
    block, order = (batch * logits.size(1) + label).sort(stable=True)
    sizes = block.unique_consecutive(return_counts=True)[1].tolist()
    place = torch.empty_like(order).index_copy_(0, order, _numbered(block))
    total = q.new_zeros(len(sizes), q.size(1)).index_add_(0, place, q)
    degree = (q * total[place]).sum(1) + EPS  # e_i = q_i . (sum of the block's q_j)
    return ClassHubs(order, sizes, q * degree.rsqrt()[:, None])


def _numbered(sorted_block: Tensor) -> Tensor:
    """Number sorted blocks 0, 1, 2, ..."""
    return sorted_block.unique_consecutive(return_inverse=True)[1]


@torch.no_grad()
def class_graph(
    logits: Tensor,
    label: Tensor | None = None,
    batch: Tensor | None = None,
    *,
    form: Form = "sampled",
    k: int = 20,
    agree: Literal["label", "overlap"] = "label",
    threshold: float = 0.0,
    generator: torch.Generator | None = None,
) -> Data:
    r"""Join nodes of an image that agree, by explicit edges: a sample of them, or all.

    For layers that need an edge for each pair (attention). `sampled` draws `k` partners of each
    node uniformly from all that agree with it, with replacement, so that a mean over them is an
    unbiased estimate of the mean over all. (The *most similar* k would not do: saturated posteriors
    all tie, and a few nodes become everyone's neighbor.) `dense` keeps all N^2 pairs, for tests.

    Args:
        logits: `Z (N, C)`, finite.
        label: `y (N,)`; by default the largest logit.
        batch: image of each node `(N,)`, ascending; by default all belong to one image.
        form: `sampled` or `dense`.
        k: partners drawn per node.
        agree: on the `label`, or, whatever the label, by the `overlap` of the posteriors.
        threshold: least affinity :math:`q_i^\top q_j` of a pair; pairs below it are not joined,
            drawn or not. Then every node is its own partner besides, so that none is left alone.
        generator: source of the draw.

    Returns:
        A graph with `edge_index (2, E)`, source then target, sorted by target; `edge_weight (E,)`,
        the affinity in [0, 1]; `num_nodes`. Every node agrees with itself.

    Raises:
        ValueError: if the shapes do not fit each other, a label is out of range, or an option is
            unknown.
    """
    q, label, batch = _agreement(logits, label, batch)
    if form not in ("sampled", "dense"):
        raise ValueError(f"expected form 'sampled' or 'dense', got {form!r}")
    if agree not in ("label", "overlap"):
        raise ValueError(f"expected agree 'label' or 'overlap', got {agree!r}")
    if not isinstance(k, int) or k < 1:
        raise ValueError(f"expected k to be a whole number >= 1, got {k!r}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"expected threshold in [0, 1], got {threshold!r}")
    group = batch * logits.size(1) + label if agree == "label" else batch
    if form == "dense":
        target, source = (group[:, None] == group).nonzero(as_tuple=True)
    else:
        target, source = _draw_partners(group, k, generator, itself=threshold > 0)
    weight = (q[source] * q[target]).sum(1).clamp(max=1)
    kept = (weight >= threshold) | (source == target)
    edge_index = torch.stack([source[kept], target[kept]])
    return Data(edge_index=edge_index, edge_weight=weight[kept], num_nodes=len(logits))


def _draw_partners(
    group: Tensor, k: int, generator: torch.Generator | None, itself: bool
) -> tuple[Tensor, Tensor]:
    """Draw k partners of each node uniformly from its group; `itself`: and the node besides."""
    sorted_group, order = group.sort(stable=True)
    size = sorted_group.unique_consecutive(return_counts=True)[1]
    start = (size.cumsum(0) - size).repeat_interleave(size)[:, None]
    size = size.repeat_interleave(size)[:, None]
    drawn = torch.rand(len(group), k, generator=generator, device=group.device) * size
    partner = order[start + drawn.long().clamp(max=size - 1)]  # rounding may reach the end
    if itself:
        partner = torch.cat([order[:, None], partner], dim=1)
    target, place = order.repeat_interleave(partner.size(1)).sort(stable=True)
    return target, partner.flatten()[place]


@functional_transform("class_level_graph")
class ClassLevelGraph(BaseTransform):
    """Give `data` the edges of `class_graph` over its logits.

    Args:
        logits: name of the logits `(N, C)` in `data`.
        label: name of the labels by which nodes agree; by default the largest logit.
        sparse: give `adj_t`, a `SparseTensor` (needs torch-sparse), instead of `edge_index` and
            `edge_weight`.
        name: start of the names under which the edges are stored, see `SemanticLevelGraph`.
        **options: `form`, `k`, `agree`, `threshold`, `generator` of `class_graph`.

    >>> data = Data(logits=torch.eye(2)[[0, 0, 1, 1]], num_nodes=4)
    >>> ClassLevelGraph(form="dense")(data)
    Data(logits=[4, 2], num_nodes=4, edge_index=[2, 8], edge_weight=[8])
    """

    def __init__(
        self,
        logits: str = "logits",
        label: str | None = None,
        sparse: bool = False,
        name: str = "",
        **options: Any,
    ) -> None:
        check_options(class_graph, options)
        self.logits, self.label, self.options = logits, label, options
        self.sparse, self.name = sparse, name

    def forward(self, data: Data) -> Data:
        label = None if self.label is None else data[self.label]
        graph = class_graph(data[self.logits], label, data.batch, **self.options)
        return store_edges(data, graph.edge_index, graph.edge_weight, self.sparse, self.name)

    def __repr__(self) -> str:
        return describe_transform(
            self, logits=self.logits, label=self.label, sparse=self.sparse, name=self.name
        )
