"""Anchors: edges from nodes with known labels to an image's nodes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData

from graphs.anchor_memory import AnchorMemory
from graphs.propagate import propagate
from graphs.taper import tapered, tapered_count
from graphs.validation import check_labels, check_neighbors, check_positive, describe

FLOOR = 0.01  # of a class's share of the evidence


def join_features(maps: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    r"""Put several feature maps side by side, so that graphs see them all.

    .. math::
        F_i = [\sqrt{w_1}\, F^1_i / \|F^1_i\|, \; \dots, \; \sqrt{w_M}\, F^M_i / \|F^M_i\|]

    so that a squared distance or an inner product is the weighted sum of those of the single maps.

    Args:
        maps: M maps `(B, D_m, h_m, w_m)`; all are brought to the first one's size, bilinearly.
        weights: w, one per map, not negative; 1 by default.

    Returns:
        `(B, D_1 + ... + D_M, h_1, w_1)`.

    Raises:
        ValueError: if there is no map, not one weight per map, or a map of another form.
    """
    weights = [1.0] * len(maps) if weights is None else weights
    if not maps or len(weights) != len(maps) or min(weights) < 0:
        raise ValueError(
            f"expected at least one map and a weight of 0 or more for each, "
            f"got {len(maps)} maps and weights {list(weights)}"
        )
    for m in maps:
        if m.dim() != 4 or m.size(0) != maps[0].size(0) or not m.is_floating_point():
            raise ValueError(
                f"expected floating-point maps (B, D, h, w) of {len(maps[0])} images, "
                f"got {describe(m)}"
            )
    size = maps[0].shape[-2:]
    return torch.cat(
        [
            weight**0.5
            * F.normalize(
                F.interpolate(_wide(m), size, mode="bilinear", align_corners=False), dim=1
            )
            for m, weight in zip(maps, weights, strict=True)
        ],
        dim=1,
    )


def _wide(m: Tensor) -> Tensor:
    """In float32 at least: half precision makes NaN of a vector of zeros."""
    return m.to(torch.promote_types(m.dtype, torch.float32))


@torch.no_grad()
def anchor_graph(
    x: Tensor,
    memory: AnchorMemory,
    k: int = 20,
    temperature: float = 0.1,
    image: Tensor | None = None,
    smooth: bool = False,
) -> HeteroData:
    r"""Join each node to the nodes of a memory that look most like it, wherever they come from.

    .. math::
        w_{ij} = \exp\big(-(d_{ij} - \min_j d_{ij}) / T\big), \qquad
        d_{ij} = \|x_i - m_j\|^2, \; j \in \mathrm{top}_k(i)

    Args:
        x: node features `(N, D)`, of all images.
        memory: M nodes with known labels.
        k: memory nodes per node.
        temperature: T.
        image: number of the image that each node is from `(N,)`; the memory's nodes from the same
            image are not reached.
        smooth: let weights fall to zero at the last of about 3k/2 anchors, see `taper`, so that
            they change continuously with the features; else k anchors keep their weight.

    Returns:
        A bipartite graph: node types `anchor` (M) and `pixel` (N), and of the edge type
        `(anchor, tells, pixel)` `edge_index (2, E)`, sorted by pixel, and `edge_weight (E,)` in
        (0, 1], the nearest at 1.

    Raises:
        ValueError: as `NeighborIndex`, or if the memory is empty.
    """
    check_positive(temperature=temperature)
    if not len(memory):
        raise ValueError("expected a memory with nodes, got an empty one; call memory.add first")
    check_neighbors(k)
    asked = min(tapered_count(k) + 1 if smooth else k, len(memory))
    found = memory.nearest(x, asked, image)
    indices, weight = found.indices, found.similarity - found.similarity[:, :1]
    weight = (weight / temperature).exp()
    if smooth:
        indices, weight = tapered(indices, found.similarity, weight, k)
    weight, source = weight.flatten(), indices.flatten()
    target = torch.arange(len(x), device=x.device).repeat_interleave(indices.size(1))
    kept = source >= 0
    graph = HeteroData()
    graph["anchor"].num_nodes, graph["pixel"].num_nodes = len(memory), len(x)
    graph["anchor", "tells", "pixel"].edge_index = torch.stack([source[kept], target[kept]])
    graph["anchor", "tells", "pixel"].edge_weight = weight[kept]
    return graph


@torch.no_grad()
def anchor_evidence(graph: HeteroData, label: Tensor, num_classes: int) -> Tensor:
    r"""Tell how well each class explains the look of each node, by the anchors that look like it.

    .. math::
        e_{ic} = \log\Big(\varepsilon + \frac{q_{ic}}{\sum_{c'} q_{ic'}}\Big), \qquad
        q_{ic} = \frac{1}{n_c} \sum_{j: y_j = c} w_{ij}

    with n_c the anchors of class c: a kernel estimate of how dense class c is where node i lies. By
    Bayes' rule, logits plus e are the belief of one who has seen both, if they know of each other
    nothing; epsilon, a hundredth, keeps few anchors from ruling a class out. A class that has no
    anchors is given the mean share of those that have, for nothing is known of where it lies.

    Args:
        graph: of `anchor_graph`, M anchors and N nodes.
        label: of the anchors `(M,)`.
        num_classes: C.

    Returns:
        e `(N, C)`; 0 for nodes that no anchor reaches.

    Raises:
        ValueError: if there is not one label for each anchor, or one is out of range.

    >>> memory = AnchorMemory(num_classes=2, feature_dim=1, budget=8)
    >>> memory.add(torch.tensor([[0.0], [0.1], [5.0]]), torch.tensor([0, 0, 1]))
    >>> graph = anchor_graph(torch.tensor([[0.0], [5.0]]), memory, k=2)
    >>> anchor_evidence(graph, memory.label, num_classes=2).argmax(1)
    tensor([0, 1])
    """
    label = check_labels(label, graph["anchor"].num_nodes, num_classes)
    edges, part = graph["anchor", "tells", "pixel"], class_parts(label, num_classes)
    nodes, part = graph["pixel"].num_nodes, part.to(edges.edge_weight)
    return log_share(propagate(edges.edge_index, edges.edge_weight, part, nodes), part)


def class_parts(label: Tensor, num_classes: int) -> Tensor:
    """Each anchor's part of the anchors of its class `(M, C)`."""
    count = torch.bincount(label, minlength=num_classes)
    return F.one_hot(label, num_classes) / count.clamp(min=1)


def log_share(density: Tensor, part: Tensor) -> Tensor:
    """The evidence that densities `q (..., C)` are; `part (M, C)` tells which classes have any."""
    total, met = density.sum(-1, keepdim=True), part.any(0)
    share = torch.where(met, density / total, 1 / met.sum())
    return torch.where(total > 0, (FLOOR + share).log(), 0.0)
