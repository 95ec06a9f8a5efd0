"""What the two transforms share: edges stored in PyG's `Data`, and options shown."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch_geometric.data import Data


def store_edges(
    data: Data, edge_index: Tensor, edge_weight: Tensor, sparse: bool, name: str = ""
) -> Data:
    """Give `data` these edges, in either of PyG's two forms.

    Args:
        data: N nodes; its earlier edges of that name are replaced.
        edge_index: `(2, E)`, source then target.
        edge_weight: `(E,)`.
        sparse: as `adj_t`, a `SparseTensor` of shape `(N, N)` whose rows are targets.
        name: put before `edge_index`, `edge_weight` or `adj_t`, with an underscore.

    Raises:
        ImportError: if `sparse` is set and torch-sparse is not installed.
    """
    start = f"{name}_" if name else ""
    for key in ("edge_index", "edge_weight", "edge_attr", "adj_t"):
        data.pop(start + key, None)
    if not sparse:
        data[f"{start}edge_index"], data[f"{start}edge_weight"] = edge_index, edge_weight
        return data
    try:
        from torch_sparse import SparseTensor
    except ImportError as error:
        raise ImportError(
            "sparse=True needs torch-sparse: pip install --no-build-isolation 'pyg_mllc[sparse]'"
        ) from error
    n = data.num_nodes
    data[f"{start}adj_t"] = SparseTensor(
        row=edge_index[1], col=edge_index[0], value=edge_weight, sparse_sizes=(n, n)
    )
    return data


def check_options(builder: Callable, options: dict[str, Any]) -> None:
    """Refuse options that the builder of a transform does not know.

    Raises:
        TypeError: if there are any, naming those that it knows.
    """
    takes = inspect.signature(builder).parameters
    known = [name for name in takes if name not in ("x", "logits", "label", "batch", "pos")]
    for name in options:
        if name not in known:
            raise TypeError(f"unexpected option {name!r}; expected some of {', '.join(known)}")


def describe_transform(transform: Any, **settings: Any) -> str:
    """Show a transform with those settings that are set, and its options."""
    shown = {name: value for name, value in settings.items() if value}
    options = ", ".join(f"{name}={value!r}" for name, value in (shown | transform.options).items())
    return f"{type(transform).__name__}({options})"
