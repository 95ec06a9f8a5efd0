"""Transforms of PyG that add the edges of both graphs."""

import inspect

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from graphs.class_level import Agreement, Form, class_graph
from graphs.knn import ExactSearch, Metric, SearchFactory
from graphs.semantic_level import Affinity, semantic_graph
from graphs.sparse import to_sparse_tensor


@functional_transform("semantic_level_graph")
class SemanticLevelGraph(BaseTransform):
    """Add the edges of `semantic_graph` over the features `x` to a `Data`.

    Args:
        k: neighbors per node besides the node itself.
        metric: see `semantic_graph`.
        affinity: see `semantic_graph`.
        search: see `semantic_graph`.
        radius: see `semantic_graph`; the window lies around `data.pos`.
        smooth: see `semantic_graph`.
        sparse: store `adj_t`, a `SparseTensor` (needs torch-sparse), instead of `edge_index` and
            `edge_weight`.
        name: prefix of the attributes, for several graphs over the same nodes: `semantic` gives
            `semantic_edge_index` and `semantic_edge_weight`.

    >>> data = Data(x=torch.eye(4)[[0, 0, 1, 1]])
    >>> SemanticLevelGraph(k=1)(data)
    Data(x=[4, 4], edge_index=[2, 8], edge_weight=[8])
    """

    def __init__(
        self,
        k: int = 20,
        metric: Metric = "cosine",
        affinity: Affinity | None = None,
        search: SearchFactory = ExactSearch,
        radius: int | None = None,
        smooth: bool = False,
        *,
        sparse: bool = False,
        name: str = "",
    ) -> None:
        self.k, self.metric, self.affinity, self.search = k, metric, affinity, search
        self.radius, self.smooth, self.sparse, self.name = radius, smooth, sparse, name

    def forward(self, data: Data) -> Data:
        graph = semantic_graph(
            data.x,
            self.k,
            data.batch,
            metric=self.metric,
            affinity=self.affinity,
            search=self.search,
            pos=None if self.radius is None else data.pos,
            radius=self.radius,
            smooth=self.smooth,
        )
        return _store_edges(data, graph.edge_index, graph.edge_weight, self.sparse, self.name)

    def __repr__(self) -> str:
        return _repr(self)


@functional_transform("class_level_graph")
class ClassLevelGraph(BaseTransform):
    """Add the edges of `class_graph` over logits to a `Data`.

    Args:
        logits: attribute that holds the logits `(N, C)`.
        label: attribute that holds labels `(N,)`; the largest logit if None.
        form: see `class_graph`.
        k: see `class_graph`.
        agreement: see `class_graph`.
        threshold: see `class_graph`.
        generator: see `class_graph`.
        sparse: store `adj_t`, a `SparseTensor` (needs torch-sparse), instead of `edge_index` and
            `edge_weight`.
        name: prefix of the attributes, see `SemanticLevelGraph`.

    >>> data = Data(logits=torch.eye(2)[[0, 0, 1, 1]], num_nodes=4)
    >>> ClassLevelGraph(form="dense")(data)
    Data(logits=[4, 2], num_nodes=4, edge_index=[2, 8], edge_weight=[8])
    """

    def __init__(
        self,
        logits: str = "logits",
        label: str | None = None,
        form: Form = "sampled",
        k: int = 20,
        agreement: Agreement = "label",
        threshold: float = 0.0,
        generator: torch.Generator | None = None,
        *,
        sparse: bool = False,
        name: str = "",
    ) -> None:
        self.logits, self.label, self.form, self.k = logits, label, form, k
        self.agreement, self.threshold, self.generator = agreement, threshold, generator
        self.sparse, self.name = sparse, name

    def forward(self, data: Data) -> Data:
        for name in filter(None, (self.logits, self.label)):
            if name not in data:
                raise ValueError(f"expected data with {name!r}, got {data.keys()}")
        graph = class_graph(
            data[self.logits],
            None if self.label is None else data[self.label],
            data.batch,
            form=self.form,
            k=self.k,
            agreement=self.agreement,
            threshold=self.threshold,
            generator=self.generator,
        )
        return _store_edges(data, graph.edge_index, graph.edge_weight, self.sparse, self.name)

    def __repr__(self) -> str:
        return _repr(self)


def _store_edges(
    data: Data, edge_index: Tensor, edge_weight: Tensor, sparse: bool, name: str
) -> Data:
    """Store edges in a `Data` of N nodes, in place of its earlier edges of that name.

    Raises:
        ImportError: if `sparse` is set and torch-sparse is not installed.
    """
    prefix = f"{name}_" if name else ""
    for key in ("edge_index", "edge_weight", "edge_attr", "adj_t"):
        data.pop(prefix + key, None)
    if sparse:
        size = data.num_nodes, data.num_nodes
        adj_t = to_sparse_tensor(edge_index, edge_weight, size, "sparse=True")
        data[f"{prefix}adj_t"] = adj_t
    else:
        data[f"{prefix}edge_index"], data[f"{prefix}edge_weight"] = edge_index, edge_weight
    return data


def _repr(transform: BaseTransform) -> str:
    """Return the options of a transform that differ from their defaults, as in its call."""
    options = inspect.signature(type(transform)).parameters.values()
    values = ((option, getattr(transform, option.name)) for option in options)
    shown = (f"{option.name}={value!r}" for option, value in values if value != option.default)
    return f"{type(transform).__name__}({', '.join(shown)})"
