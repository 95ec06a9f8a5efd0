"""How a graph is stored in PyG's `Data`."""

from torch import Tensor
from torch_geometric.data import Data


def store_edges(data: Data, edge_index: Tensor, edge_weight: Tensor, sparse: bool) -> Data:
    """Give `data` these edges, in either of PyG's two forms.

    Args:
        data: N nodes; its earlier edges are replaced.
        edge_index: `(2, E)`, source then target.
        edge_weight: `(E,)`.
        sparse: as `adj_t`, a `SparseTensor` of shape `(N, N)` whose rows are targets.

    Raises:
        ImportError: if `sparse` is set and torch-sparse is not installed.
    """
    for name in ("edge_index", "edge_weight", "edge_attr", "adj_t"):
        data.pop(name, None)
    if not sparse:
        data.edge_index, data.edge_weight = edge_index, edge_weight
        return data
    try:
        from torch_sparse import SparseTensor
    except ImportError as error:
        raise ImportError(
            "sparse=True needs torch-sparse: pip install --no-build-isolation 'pyg_mllc[sparse]'"
        ) from error
    n = data.num_nodes
    data.adj_t = SparseTensor(
        row=edge_index[1], col=edge_index[0], value=edge_weight, sparse_sizes=(n, n)
    )
    return data
