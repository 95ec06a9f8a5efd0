"""Graph that labels flow over: similar pixels, and anchors."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graphs import automatic_search, random_walk_norm, semantic_graph, symmetric_norm
from graphs.precision import to_float64
from pyg_mllc.nn.soft_labels import label_logits

CERTAINTY = 0.99  # of an anchor's label
POSITION = 3e-3  # weight of a pixel's row and column beside unit vectors


def look_alike_features(maps: Sequence[Tensor], pos: Tensor | None = None) -> Tensor:
    r"""Concatenate the features that nodes are compared by, each part scaled to unit length.

    .. math::
        u_i = [F^1_i / \|F^1_i\|, \dots, F^M_i / \|F^M_i\|, \; \lambda\, pos_i], \qquad
        \|u_i - u_j\|^2 = 2 \sum_m (1 - \cos(F^m_i, F^m_j)) + \lambda^2 \|pos_i - pos_j\|^2

    The weight of the position, lambda, is three thousandths per pixel: it decides only among nodes
    that look exactly alike. In double precision, which tells those apart that nearly look alike, on
    all devices that have it.

    Args:
        maps: M matrices of node features `(..., N, D_m)`.
        pos: row and column of each node `(N, 2)`, if it has any.

    Returns:
        u `(..., N, D)`.
    """
    parts = [F.normalize(to_float64(m), dim=-1) for m in maps]
    if pos is not None:
        parts.append(POSITION * pos.to(parts[0]).expand(*parts[0].shape[:-1], 2))
    return torch.cat(parts, dim=-1)


@torch.no_grad()
def label_graph(
    maps: Sequence[Tensor],
    batch: Tensor,
    k: int,
    pos: Tensor | None = None,
    smooth: bool = True,
) -> Data:
    r"""Build the graph that labels flow over: it joins similar nodes of an image.

    .. math::
        S_{ij} = \max(0, 1 - \|u_i - u_j\|^2 / 2M) \; t_{ij}, \qquad A = S + S^\top

    with u of `look_alike_features` and t of `graphs.taper`, so that the graph changes continuously
    with the features. As published, the k nearest keep their weight :math:`\max(0, \cos)`.

    Args:
        maps: M matrices of node features `(N, D_m)`.
        batch: image of each node `(N,)`.
        k: neighbors per node.
        pos: row and column of each node `(N, 2)`, if it has any.
        smooth: let the weights fall to zero; else as published, by the last of the maps alone.

    Returns:
        The semantic-level graph, normalized: `edge_index (2, E)`, source then target, sorted by
        target, and `edge_weight (E,)`, which is :math:`\hat A`.
    """
    if smooth:
        u, affinity = look_alike_features(maps, pos), partial(_mean_cosine, maps=len(maps))
        graph = semantic_graph(
            u, k, batch, metric="l2", affinity=affinity, search=automatic_search, smooth=True
        )
    else:
        graph = semantic_graph(to_float64(maps[-1]), k, batch, search=automatic_search)
    weight = symmetric_norm(graph.edge_index, graph.edge_weight, graph.num_nodes)
    graph.edge_weight = weight.to(torch.promote_types(maps[0].dtype, torch.float32))
    return graph


def _mean_cosine(similarity: Tensor, maps: int) -> Tensor:
    """Compute the mean cosine of M unit vectors from minus their squared distance, 0 at least."""
    return (1 + similarity / (2 * maps)).clamp(min=0)


@torch.no_grad()
def add_anchors(
    graph: Data, anchors: HeteroData, label: Tensor, num_classes: int, share: float
) -> Data:
    r"""Add labeled nodes of other images to the graph that labels flow over.

    .. math::
        W = [(1 - \beta) \hat A, \; \beta R], \qquad
        R_{ij} = w_{ij} / \textstyle\sum_j w_{ij}

    with w the weights from anchors j to nodes i; beta is 0 for nodes that no anchor reaches.

    Args:
        graph: N nodes, of `label_graph`.
        anchors: edges from the memory to these nodes, of `anchor_graph`.
        label: of the memory's nodes `(M,)`.
        num_classes: C.
        share: beta.

    Returns:
        As `graph`, with the anchors used numbered from N on, and their logits `fixed (A, C)`.
    """
    n, edges = graph.num_nodes, anchors["anchor", "tells", "pixel"]
    target = edges.edge_index[1]
    pull = random_walk_norm(edges.edge_index, edges.edge_weight, n)
    beta = share * pull.new_zeros(n).index_fill(0, target, 1)
    used, source = edges.edge_index[0].unique(return_inverse=True)
    edge_index = torch.cat([graph.edge_index, torch.stack([n + source, target])], dim=1)
    weight = torch.cat([(1 - beta[graph.edge_index[1]]) * graph.edge_weight, beta[target] * pull])
    order = edge_index[1].argsort(stable=True)
    fixed = label_logits(label[used], num_classes, CERTAINTY).to(weight)
    return Data(
        edge_index=edge_index[:, order],
        edge_weight=weight[order],
        fixed=fixed,
        num_nodes=n + len(used),
    )
