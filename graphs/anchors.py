"""Anchors: edges from labeled nodes of a memory to the nodes of images."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData

from graphs.anchor_memory import AnchorMemory
from graphs.precision import at_least_float32
from graphs.propagate import propagate
from graphs.taper import num_tapered, taper_neighbors
from graphs.validation import check_labels, check_neighbors, check_positive, describe

FLOOR = 0.01  # added to each class's share of the density


def join_features(
    maps: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    size: tuple[int, int] | torch.Size | None = None,
) -> Tensor:
    r"""Concatenate normalized feature maps, so that graphs compare all of them.

    .. math::
        F_i = [\sqrt{w_1}\, F^1_i / \|F^1_i\|, \; \dots, \; \sqrt{w_M}\, F^M_i / \|F^M_i\|]

    Squared distances and inner products are then weighted sums of those of the single maps.

    Args:
        maps: M maps `(B, D_m, h_m, w_m)`; all are resized bilinearly.
        weights: w, one per map, not negative; all 1 if None.
        size: height and width (h, w) of the result; those of the first map if None.

    Returns:
        `(B, D_1 + ... + D_M, h, w)`.

    Raises:
        ValueError: if there is no map, not one weight per map, or a map has another shape.
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
    size = maps[0].shape[-2:] if size is None else size
    return torch.cat(
        [
            weight**0.5
            * F.normalize(
                F.interpolate(at_least_float32(m), size, mode="bilinear", align_corners=False),
                dim=1,  # half precision would make NaN of a zero vector
            )
            for m, weight in zip(maps, weights, strict=True)
        ],
        dim=1,
    )


@torch.no_grad()
def anchor_graph(
    x: Tensor,
    memory: AnchorMemory,
    k: int = 20,
    temperature: float = 0.1,
    image: Tensor | None = None,
    smooth: bool = False,
) -> HeteroData:
    r"""Build a bipartite graph from the most similar nodes of a memory to each node.

    .. math::
        w_{ij} = \exp\big(-(d_{ij} - \min_j d_{ij}) / T\big), \qquad
        d_{ij} = \|x_i - m_j\|^2, \; j \in \mathrm{top}_k(i)

    Args:
        x: node features `(N, D)`, of all images.
        memory: M labeled nodes.
        k: memory nodes per node.
        temperature: T, in units of a squared distance.
        image: number of each node's image `(N,)`; memory nodes of the same image are left out.
        smooth: let weights fall to zero at the last of about 3k/2 anchors, see `taper_weights`, so
            that they change continuously with the features. Otherwise k anchors keep their full
            weight.

    Returns:
        A bipartite graph with node types `anchor` (M) and `pixel` (N), and the edge type
        `(anchor, tells, pixel)`: `edge_index (2, E)`, sorted by pixel, and `edge_weight (E,)` in
        (0, 1], 1 for the nearest anchor.

    Raises:
        ValueError: if the memory is empty, features are no finite matrix of its width, `k` is below
            1, or the temperature is not above zero.
    """
    check_positive(temperature=temperature)
    if not len(memory):
        raise ValueError("expected a memory with nodes, got an empty one; call memory.add first")
    check_neighbors(k)
    count = min(num_tapered(k) + 1 if smooth else k, len(memory))
    indices, similarity = memory.nearest(x, count, image)
    weight = ((similarity - similarity[:, :1]) / temperature).exp()
    if smooth:
        indices, weight = taper_neighbors(indices, similarity, weight, k)
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
    r"""Compute how well each class explains the features of each node, by its nearest anchors.

    .. math::
        e_{ic} = \log\Big(\varepsilon + \frac{q_{ic}}{\sum_{c'} q_{ic'}}\Big), \qquad
        q_{ic} = \frac{1}{n_c} \sum_{j: y_j = c} w_{ij}

    with n_c the number of anchors of class c, so that q is a kernel estimate of the density of
    class c at node i. By Bayes' rule, logits plus e are the joint log posterior (up to a constant)
    if both sources are independent. Epsilon, a hundredth, keeps few anchors from excluding a class.
    Classes without anchors receive the mean share.

    Args:
        graph: output of `anchor_graph`, with M anchors and N nodes.
        label: labels of the anchors `(M,)`.
        num_classes: C.

    Returns:
        e `(N, C)`; 0 for nodes without anchors.

    Raises:
        ValueError: if there is not one label for each anchor, or one is out of range.

    >>> memory = AnchorMemory(num_classes=2, feature_dim=1, budget=8)
    >>> memory.add(torch.tensor([[0.0], [0.1], [5.0]]), torch.tensor([0, 0, 1]))
    >>> graph = anchor_graph(torch.tensor([[0.0], [5.0]]), memory, k=2)
    >>> anchor_evidence(graph, memory.label, num_classes=2).argmax(1)
    tensor([0, 1])
    """
    label = check_labels(label, graph["anchor"].num_nodes, num_classes)
    edges = graph["anchor", "tells", "pixel"]
    target = balanced_one_hot(label, num_classes).to(edges.edge_weight)
    num_nodes = graph["pixel"].num_nodes
    density = propagate(edges.edge_index, edges.edge_weight, target, num_nodes)
    return log_class_share(density, target.any(0))


def balanced_one_hot(label: Tensor, num_classes: int) -> Tensor:
    """Return one-hot labels, each class divided by its number of nodes.

    Args:
        label: `(M,)`.
        num_classes: C.

    Returns:
        `(M, C)`; every class that occurs sums to 1.
    """
    count = torch.bincount(label, minlength=num_classes)
    return F.one_hot(label, num_classes) / count.clamp(min=1)


def log_class_share(density: Tensor, has_anchors: Tensor) -> Tensor:
    """Return the evidence e of class densities, see `anchor_evidence`.

    Args:
        density: q `(..., C)`.
        has_anchors: whether a class has anchors, `(C,)` bool.

    Returns:
        e `(..., C)`.
    """
    total = density.sum(-1, keepdim=True)
    share = torch.where(has_anchors, density / total, 1 / has_anchors.sum())
    return torch.where(total > 0, (FLOOR + share).log(), 0.0)
