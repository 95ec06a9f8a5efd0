"""Weights that leave no neighbor at the edge of a choice."""

import torch
from torch import Tensor

LEAST = 1e-9  # of a difference of similarities; below it, neighbors count as tied


def tapered_count(k: int) -> int:
    """Return how many neighbors get a weight so that their tapered weights sum to about `k`."""
    return k + (k + 1) // 2


def tapered(indices: Tensor, similarity: Tensor, weight: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Taper the weights of neighbors, and drop the one at which they reach zero.

    Args:
        indices: of the nearest neighbors `(N, m)`, of which `tapered_count(k) + 1` were asked for.
        similarity: `(N, m)`, the most similar first.
        weight: `(N, m)`.
        k: neighbors that the weights shall sum to, about.

    Returns:
        Indices and weights `(N, m - 1)`; all as they are if there are no more neighbors than get
        a weight.
    """
    if similarity.size(1) <= tapered_count(k):
        return indices, weight
    return indices[:, :-1], weight[:, :-1] * taper(similarity, k)


def taper(similarity: Tensor, k: int) -> Tensor:
    r"""Compute weights that fall to zero at the first neighbor that is left out.

    .. math::
        t_{ij} = \min\Big(1, \frac{s_{ij} - s_{i,K+1}}{s_{i,\lfloor k/2 \rfloor + 1} - s_{i,K+1}}
        \Big), \qquad K = k + \lceil k/2 \rceil

    with :math:`s_{i,m}` the similarity of node i's m-th nearest. The nearer half of the neighbors
    keep their weight; those of the others fall linearly. With a fixed number of neighbors at full
    weight, a graph jumps wherever the last neighbor and the next one swap places. Here both have
    weight zero when they do, so the weights are a continuous function of the similarities. Where
    all of them are tied (differences below 1e-9), any K of the tied keep their weight.

    Args:
        similarity: of the K + 1 nearest neighbors `(N, K + 1)`, the nearest first; minus infinity
            where there is none.
        k: neighbors that the weights shall sum to, about.

    Returns:
        `(N, K)`, in [0, 1]; 1 for all neighbors of a node that has K or fewer.

    >>> taper(torch.tensor([[0.9, 0.8, 0.7, 0.5]]), k=2)
    tensor([[1.0000, 1.0000, 0.6667]])
    """
    last = similarity[:, -1:]
    full = similarity[:, k // 2, None] - last + LEAST
    weight = ((similarity[:, :-1] - last + LEAST) / full).clamp(max=1)
    return torch.where(last.isneginf(), 1.0, weight)
