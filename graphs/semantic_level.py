"""Semantic-level graph: nodes whose features are similar."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphs.knn import ExactSearch, Metric, SearchFactory, nearest_neighbors
from graphs.taper import num_tapered, taper_neighbors
from graphs.validation import check_batch, check_neighbors, check_nodes, check_positive

Affinity = Callable[[Tensor], Tensor]


def cosine_affinity(similarity: Tensor) -> Tensor:
    r"""Return the weights :math:`\max(0, \cos)` of pairs; 0 for missing neighbors.

    Args:
        similarity: cosines.

    Returns:
        The weights, of the shape of `similarity`.
    """
    return similarity.clamp(min=0)


def gaussian_affinity(similarity: Tensor, scale: float = 0.1) -> Tensor:
    r"""Return the weights :math:`\exp(-d^2 / s)` of pairs; 0 for missing neighbors.

    Args:
        similarity: minus squared distances, as `nearest_neighbors(metric="l2")` returns them.
        scale: s, in units of a squared distance.

    Returns:
        The weights, of the shape of `similarity`.

    Raises:
        ValueError: if the scale is not above zero.
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
    search: SearchFactory = ExactSearch,
    pos: Tensor | None = None,
    radius: int | None = None,
    smooth: bool = False,
) -> Data:
    r"""Build the semantic-level graph: join each node to the most similar nodes of its image.

    .. math::
        S_{ij} = \max(0, \cos(F_i, F_j)), \; j \in \mathrm{top}_k(i) \cup \{i\},
        \qquad A = S + S^\top

    Labels flow over this graph: nodes that look alike should agree. (MLLC, semantic-level graph.)

    Args:
        x: node features `F (N, D)`, finite.
        k: neighbors per node besides the node itself (the published 21 counts it).
        batch: image of each node `(N,)`, ascending; a single image if None.
        metric: `cosine`, or `l2` for :math:`-\|F_i - F_j\|^2`.
        affinity: maps similarities to weights in [0, 1]; pairs of weight 0 are not joined. If
            None, `cosine_affinity`, or for `l2` `gaussian_affinity`, whose scale fits features of
            unit length. For other features set the scale to about the squared distance of similar
            pixels: `partial(gaussian_affinity, scale=4.0)`.
        search: builds the neighbor search, see `nearest_neighbors`.
        pos: row and column of each node `(N, 2)`, needed with `radius`.
        radius: compare only nodes at most this many rows and columns away, see
            `nearest_neighbors`.
        smooth: let weights fall to zero at the last of about 3k/2 neighbors, see `taper_weights`,
            so that the graph changes continuously with the features. Otherwise k neighbors keep
            their full weight.

    Returns:
        An undirected graph: `edge_index (2, E)`, source then target, sorted by target, each pair
        once; `edge_weight (E,)` in `(0, 2]`; self-loops of weight 2, so that isolated nodes keep
        their own value; `num_nodes`. No gradient flows through the weights.

    Raises:
        ValueError: if an input of `nearest_neighbors` is invalid, or an affinity is not in [0, 1].

    >>> graph = semantic_graph(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), k=1)
    >>> graph.edge_index.tolist(), graph.edge_weight.tolist()
    ([[0, 1, 0, 1, 2], [0, 0, 1, 1, 2]], [2.0, 2.0, 2.0, 2.0, 2.0])
    """
    check_neighbors(k)
    affinity = affinity or (cosine_affinity if metric == "cosine" else gaussian_affinity)
    count = _limit_neighbors(num_tapered(k) + 1 if smooth else k, x, batch)
    indices, similarity = nearest_neighbors(
        x, count, batch, metric=metric, search=search, pos=pos, radius=radius
    )
    weight = affinity(similarity)
    if smooth:
        indices, weight = taper_neighbors(indices, similarity, weight, k)
    edge_index, edge_weight = _symmetric_edges(indices, weight)
    return Data(edge_index=edge_index, edge_weight=edge_weight, num_nodes=len(x))


def _limit_neighbors(k: int, x: Tensor, batch: Tensor | None) -> int:
    """Return k or the size of the largest image: missing neighbors would take memory."""
    check_nodes(x)
    batch = check_batch(batch, len(x))
    if batch is None:
        return min(k, max(1, len(x)))
    sizes: list[int] = batch.unique_consecutive(return_counts=True)[1].tolist()
    return min(k, max([1, *sizes]))


def _symmetric_edges(indices: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return edges and weights of S + S^T, with S_ii = 1 and mutual neighbors merged."""
    n, k = indices.shape
    node = torch.arange(n, device=indices.device)
    weight = weight.flatten()
    # In this form NaN fails, too; rounding may exceed 1.
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
