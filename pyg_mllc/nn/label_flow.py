"""The graph that labels flow over: pixels that look alike, and anchors."""

import math

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graphs import automatic_search, random_walk_norm, semantic_graph, symmetric_norm

CERTAINTY = 0.99  # of an anchor's label


def label_margin(num_classes: int, belief: float) -> float:
    r"""How far a label's logit stands above the others: :math:`\log(b\,(C - 1) / (1 - b))`.

    Args:
        num_classes: C.
        belief: b, how likely a label is right.

    Raises:
        ValueError: if there are fewer than two classes, or b is not between chance and 1.
    """
    if num_classes < 2 or not 1 / num_classes < belief < 1:
        raise ValueError(
            "expected 2 classes or more, and belief between chance, 1 / classes, and 1, got "
            f"{num_classes} classes and belief={belief}"
        )
    return math.log(belief * (num_classes - 1) / (1 - belief))


def label_logits(label: Tensor, num_classes: int, belief: float = 0.8) -> Tensor:
    r"""Give logits that say as much as a label does.

    .. math::
        Z_{ic} = [y_i = c] \, \log \frac{b\,(C - 1)}{1 - b}

    so that softmax gives b to the label and the rest in equal parts to the other classes.

    Args:
        label: `(...)`, class numbers; any other number, such as 255 for void, gets logits of 0,
            which say nothing.
        num_classes: C, at least 2.
        belief: b, how likely a label is right, above chance and below 1. Above the corrector's
            threshold, labels count as trusted and hardly move.

    Returns:
        `(..., C)`.

    Raises:
        ValueError: if there are fewer than two classes, or b is out of range.

    >>> label_logits(torch.tensor([1, 255]), num_classes=2, belief=0.9).softmax(-1)
    tensor([[0.1000, 0.9000],
            [0.5000, 0.5000]])
    """
    margin = label_margin(num_classes, belief)
    return margin * (label[..., None] == torch.arange(num_classes, device=label.device)).float()


@torch.no_grad()
def label_graph(features: Tensor, batch: Tensor, k: int) -> Data:
    r"""Join the nodes over which labels flow: those of an image that look alike.

    Args:
        features: `(N, D)`.
        batch: image of each node `(N,)`.
        k: neighbors per node.

    Returns:
        The semantic-level graph, normalized: `edge_index (2, E)`, source then target, sorted by
        target, and `edge_weight (E,)`, which is :math:`\hat A`.
    """
    graph = semantic_graph(features, k, batch, search=automatic_search)
    graph.edge_weight = symmetric_norm(graph.edge_index, graph.edge_weight, len(features))
    return graph


@torch.no_grad()
def add_anchors(
    graph: Data, anchors: HeteroData, label: Tensor, num_classes: int, share: float
) -> Data:
    r"""Let labeled nodes of other images take part in the flow of labels.

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
