"""Neighbor weights that fall to zero at the last neighbor, so that graphs change continuously."""

import torch
from torch import Tensor

TIE = 1e-9  # neighbors whose similarities differ by less count as tied


def num_tapered(k: int) -> int:
    """Return how many neighbors keep a weight, so that tapered weights sum to about `k`.

    Args:
        k: approximate sum of the tapering factors per node.

    Returns:
        K of `taper_weights`.
    """
    return k + (k + 1) // 2


def taper_neighbors(
    indices: Tensor, similarity: Tensor, weight: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Multiply weights by `taper_weights`, and drop the neighbor whose weight becomes zero.

    Args:
        indices: nearest neighbors `(N, m)`; m is at most `num_tapered(k) + 1`.
        similarity: `(N, m)`, in descending order.
        weight: `(N, m)`.
        k: approximate sum of the tapering factors per node.

    Returns:
        Indices and weights `(N, m - 1)`. They are unchanged, `(N, m)`, if m is at most
        `num_tapered(k)`.
    """
    if similarity.size(1) <= num_tapered(k):
        return indices, weight
    return indices[:, :-1], weight[:, :-1] * taper_weights(similarity, k)


def taper_weights(similarity: Tensor, k: int) -> Tensor:
    r"""Compute factors that fall linearly to zero at the first neighbor left out.

    .. math::
        t_{ij} = \min\Big(1, \frac{s_{ij} - s_{i,K+1}}{s_{i,\lfloor k/2 \rfloor + 1} - s_{i,K+1}}
        \Big), \qquad K = k + \lceil k/2 \rceil

    with :math:`s_{i,m}` the similarity of node i's m-th nearest neighbor. The nearer half of the
    neighbors keep their weight. With a fixed number of neighbors at full weight, a graph jumps
    where the last neighbor and the next one swap places. Here both have weight zero when they do,
    so weights are a continuous function of the similarities. If all neighbors are tied
    (differences below 1e-9), any K of them keep their weight.

    Args:
        similarity: of the K + 1 nearest neighbors `(N, K + 1)`, in descending order; minus infinity
            for missing neighbors.
        k: approximate sum of the factors per node.

    Returns:
        `(N, K)`, in [0, 1]; 1 for all neighbors of a node that has K or fewer.

    >>> taper_weights(torch.tensor([[0.9, 0.8, 0.7, 0.5]]), k=2)
    tensor([[1.0000, 1.0000, 0.6667]])
    """
    last = similarity[:, -1:]
    full = similarity[:, k // 2, None] - last + TIE
    weight = ((similarity[:, :-1] - last + TIE) / full).clamp(max=1)
    return torch.where(last.isneginf(), 1.0, weight)
