"""Class-level graph, by explicit edges: who agrees."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from graphs.hubs import Agree, agreement, check_agree
from graphs.transforms import check_options, describe_transform, store_edges
from graphs.validation import check_neighbors

Form = Literal["sampled", "dense"]


@torch.no_grad()
def class_graph(
    logits: Tensor,
    label: Tensor | None = None,
    batch: Tensor | None = None,
    *,
    form: Form = "sampled",
    k: int = 20,
    agree: Agree = "label",
    threshold: float = 0.0,
    generator: torch.Generator | None = None,
) -> Data:
    r"""Join nodes of an image that agree, by explicit edges: a sample of them, or all.

    For layers that need an edge for each pair (attention). `sampled` draws `k` partners of each
    node uniformly from all that agree with it, with replacement, so that the plain mean of
    :math:`w_{ij} x_j` over them is an unbiased estimate of that over all. (The *most similar* k
    would not do: saturated posteriors all tie, and a few nodes become everyone's neighbor.)
    `dense` keeps all N^2 pairs, for tests.

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
    q, label, batch = agreement(logits, label, batch)
    if form not in ("sampled", "dense"):
        raise ValueError(f"expected form 'sampled' or 'dense', got {form!r}")
    check_agree(agree)
    check_neighbors(k)
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
        for name in filter(None, (self.logits, self.label)):
            if name not in data:
                raise ValueError(f"expected data with {name!r}, got {data.keys()}")
        label = None if self.label is None else data[self.label]
        graph = class_graph(data[self.logits], label, data.batch, **self.options)
        return store_edges(data, graph.edge_index, graph.edge_weight, self.sparse, self.name)

    def __repr__(self) -> str:
        return describe_transform(
            self, logits=self.logits, label=self.label, sparse=self.sparse, name=self.name
        )
