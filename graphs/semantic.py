"""Semantic-level graph: who looks alike."""

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphs.neighbors import Neighbors, nearest_neighbors


@torch.no_grad()
def semantic_graph(x: Tensor, k: int = 20, batch: Tensor | None = None) -> Data:
    r"""Join each node to the nodes of its image that look most like it.

    .. math::
        S_{ij} = \max(0, \cos(F_i, F_j)), \; j \in \mathrm{top}_k(i) \cup \{i\},
        \qquad A = S + S^\top

    Labels flow over this graph: nodes that look alike should agree. (MLLC, semantic-level graph.)

    Args:
        x: node features `F (N, D)`, finite.
        k: neighbors per node besides the node itself (the published 21 counts it).
        batch: image of each node `(N,)`, ascending; by default all belong to one image.

    Returns:
        An undirected graph: `edge_index (2, E)`, source then target, sorted by target, each pair
        once; `edge_weight (E,)` in `(0, 2]`; self-loops of weight 2, so that a node without
        neighbors keeps its own value; `num_nodes`.

    Raises:
        ValueError: as `nearest_neighbors`.

    >>> graph = semantic_graph(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), k=1)
    >>> graph.edge_index.tolist(), graph.edge_weight.tolist()
    ([[0, 1, 0, 1, 2], [0, 0, 1, 1, 2]], [2.0, 2.0, 2.0, 2.0, 2.0])
    """
    edge_index, edge_weight = _symmetric_edges(nearest_neighbors(x, k, batch))
    return Data(edge_index=edge_index, edge_weight=edge_weight, num_nodes=len(x))


def _symmetric_edges(neighbors: Neighbors) -> tuple[Tensor, Tensor]:
    """Edges of S + S^T, with S_ii = 1, pairs that look alike both ways merged."""
    index, weight = neighbors
    n, k = index.shape
    node = torch.arange(n, device=index.device)
    target = node.repeat_interleave(k)
    source, weight = index.flatten(), weight.flatten()
    kept = (weight > 0) & (source != target)
    target, source, weight = target[kept], source[kept], weight[kept]
    key = torch.cat([target * n + source, source * n + target, node * (n + 1)])
    weight = torch.cat([weight, weight, weight.new_full((n,), 2)])
    # A stable sort of integers is a radix sort on the CPU: three times faster than the default.
    key, order = key.sort(stable=True)
    key, place = key.unique_consecutive(return_inverse=True)
    weight = weight.new_zeros(len(key)).index_add_(0, place, weight[order])
    return torch.stack([key % n, key.div(n, rounding_mode="floor")]), weight
