"""Semantic-level graph: who looks alike."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from graphs.knn.neighbors import nearest_neighbors
from graphs.knn.search import ExactSearch, MakeSearch, Metric
from graphs.taper import tapered, tapered_count
from graphs.transforms import check_options, describe_transform, store_edges
from graphs.validation import check_batch, check_neighbors, check_nodes, check_positive

Affinity = Callable[[Tensor], Tensor]


def cosine_affinity(similarity: Tensor) -> Tensor:
    r"""Weigh a pair by :math:`\max(0, \cos)`; missing neighbors get 0."""
    return similarity.clamp(min=0)


def gaussian_affinity(similarity: Tensor, scale: float = 0.1) -> Tensor:
    r"""Weigh a pair by :math:`\exp(-d^2 / s)`, with the squared distance in features.

    Args:
        similarity: minus the squared distance, as `nearest_neighbors(metric="l2")` gives it.
        scale: s.
    """
    check_positive(scale=scale)
    return (similarity / scale).exp()


@torch.no_grad()
def semantic_graph(
    x: Tensor,
    k: int = 20,
    batch: Tensor | None = None,
    *,
    metric: Metric = "cosine",
    affinity: Affinity | None = None,
    search: MakeSearch = ExactSearch,
    pos: Tensor | None = None,
    radius: int | None = None,
    smooth: bool = False,
) -> Data:
    r"""Join each node to the nodes of its image that look most like it.

    .. math::
        S_{ij} = \max(0, \cos(F_i, F_j)), \; j \in \mathrm{top}_k(i) \cup \{i\},
        \qquad A = S + S^\top

    Labels flow over this graph: nodes that look alike should agree. (MLLC, semantic-level graph.)

    Args:
        x: node features `F (N, D)`, finite.
        k: neighbors per node besides the node itself (the published 21 counts it).
        batch: image of each node `(N,)`, ascending; by default all belong to one image.
        metric: `cosine`, or `l2` for :math:`-\|F_i - F_j\|^2`.
        affinity: turns similarities into weights in [0, 1]; pairs of weight 0 are not joined. By
            default `cosine_affinity`, or for `l2` `gaussian_affinity`, whose scale fits features
            of unit length; give others a scale of theirs, about the squared distance of pixels that
            count as alike: `partial(gaussian_affinity, scale=4.0)`.
        search: how neighbors are searched for, see `nearest_neighbors`.
        pos: see `nearest_neighbors`.
        radius: see `nearest_neighbors`.
        smooth: let weights fall to zero at the last of about 3k/2 neighbors, see `taper`, so that
            the graph changes continuously with the features; else k neighbors keep their weight.

    Returns:
        An undirected graph: `edge_index (2, E)`, source then target, sorted by target, each pair
        once; `edge_weight (E,)` in `(0, 2]`; self-loops of weight 2, so that a node without
        neighbors keeps its own value; `num_nodes`. No gradient flows through the weights.

    Raises:
        ValueError: as `nearest_neighbors`, or if an affinity is not in [0, 1].

    >>> graph = semantic_graph(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), k=1)
    >>> graph.edge_index.tolist(), graph.edge_weight.tolist()
    ([[0, 1, 0, 1, 2], [0, 0, 1, 1, 2]], [2.0, 2.0, 2.0, 2.0, 2.0])
    """
    check_neighbors(k)
    affinity = affinity or (cosine_affinity if metric == "cosine" else gaussian_affinity)
    asked = _at_most(tapered_count(k) + 1 if smooth else k, x, batch)
    found = nearest_neighbors(x, asked, batch, metric=metric, search=search, pos=pos, radius=radius)
    indices, weight = found.indices, affinity(found.similarity)
    if smooth:
        indices, weight = tapered(indices, found.similarity, weight, k)
    edge_index, edge_weight = _symmetric_edges(indices, weight)
    return Data(edge_index=edge_index, edge_weight=edge_weight, num_nodes=len(x))


def _at_most(k: int, x: Tensor, batch: Tensor | None) -> int:
    """No more neighbors than the largest image has, for places of missing ones take memory."""
    check_nodes(x)
    batch = check_batch(batch, len(x))
    sizes = [len(x)] if batch is None else batch.unique_consecutive(return_counts=True)[1].tolist()
    return min(k, max([1, *sizes]))


def _symmetric_edges(indices: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Edges of S + S^T, with S_ii = 1, pairs that look alike both ways merged."""
    n, k = indices.shape
    node = torch.arange(n, device=indices.device)
    weight = weight.flatten()
    # Written so that NaN fails, too; rounding may pass 1.
    if not ((weight >= 0) & (weight < 1.001)).all():
        raise ValueError(
            "expected affinities in [0, 1], got others; cosine_affinity is for metric='cosine', "
            "gaussian_affinity for metric='l2'"
        )
    kept = (weight > 0) & (indices.flatten() >= 0)
    source, weight = indices.flatten()[kept], weight[kept]
    target = node.repeat_interleave(k)[kept]
    key = torch.cat([target * n + source, source * n + target, node * (n + 1)])
    weight = torch.cat([weight, weight, weight.new_full((n,), 2)])
    # A stable sort of integers is a radix sort on the CPU: three times faster than the default.
    key, order = key.sort(stable=True)
    key, place = key.unique_consecutive(return_inverse=True)
    weight = weight.new_zeros(len(key)).index_add_(0, place, weight[order])
    target = key.div(n, rounding_mode="floor")
    return torch.stack([key - target * n, target]), weight


@functional_transform("semantic_level_graph")
class SemanticLevelGraph(BaseTransform):
    """Give `data` the edges of `semantic_graph` over its features `x`.

    Args:
        k: neighbors per node besides the node itself.
        sparse: give `adj_t`, a `SparseTensor` (needs torch-sparse), instead of `edge_index` and
            `edge_weight`.
        name: start of the names under which the edges are stored, for more than one graph over the
            same nodes: with `semantic`, `semantic_edge_index` and so on.
        **options: `affinity`, `metric`, `search`, `radius`, `smooth` of `semantic_graph`; with
            `radius`, the window lies around `data.pos`.

    >>> data = Data(x=torch.eye(4)[[0, 0, 1, 1]])
    >>> SemanticLevelGraph(k=1)(data)
    Data(x=[4, 4], edge_index=[2, 8], edge_weight=[8])
    """

    def __init__(self, k: int = 20, sparse: bool = False, name: str = "", **options: Any) -> None:
        check_options(semantic_graph, options)
        self.k, self.sparse, self.name, self.options = k, sparse, name, options

    def forward(self, data: Data) -> Data:
        options = dict(self.options)
        if options.get("radius") is not None:
            options["pos"] = data.pos
        graph = semantic_graph(data.x, self.k, data.batch, **options)
        return store_edges(data, graph.edge_index, graph.edge_weight, self.sparse, self.name)

    def __repr__(self) -> str:
        return describe_transform(self, k=self.k, sparse=self.sparse, name=self.name)
