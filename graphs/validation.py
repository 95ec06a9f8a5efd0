"""Validation of inputs, with errors that say what was expected and what was passed."""

from numbers import Integral

import torch
from torch import Tensor


def check_nodes(x: Tensor, name: str = "x") -> None:
    """Raise if node features are no finite matrix.

    Args:
        x: node features `(N, D)`.
        name: argument to name in the error.

    Raises:
        ValueError: if `x` is no floating-point matrix, or contains NaN or infinity.
    """
    if not isinstance(x, Tensor) or x.dim() != 2 or not x.is_floating_point():
        raise ValueError(
            f"expected {name} to be a floating-point tensor (N, D), one row per node, "
            f"got {describe(x)}"
        )
    # One pass without a mask: a sum is finite only if all of its terms are, or if it overflows.
    if not torch.isfinite(x.sum()) and not torch.isfinite(x).all():
        raise ValueError(
            f"expected finite numbers in {name}, got NaN or infinity; "
            "torch.nan_to_num replaces them"
        )


def check_queries(query: Tensor, width: int) -> None:
    """Raise if queries are no node features of the expected width.

    Args:
        query: `(M, D)`.
        width: D.

    Raises:
        ValueError: if `query` is no finite matrix, or has another number of columns.
    """
    check_nodes(query, "query")
    if query.size(1) != width:
        raise ValueError(f"expected query (M, {width}), as wide as x, got {tuple(query.shape)}")


def check_neighbors(k: int) -> None:
    """Raise if `k` is no number of neighbors.

    Args:
        k: value to check.

    Raises:
        ValueError: if `k` is no integer, or below 1.
    """
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise ValueError(f"expected k to be a whole number of neighbors >= 1, got {k!r}")


def check_int(minimum: int, **values: int) -> None:
    """Raise if a value is no integer, or too small.

    Args:
        minimum: smallest accepted value.
        **values: values under the names to use in the error.

    Raises:
        ValueError: if a value is no integer, or below `minimum`.
    """
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
            raise ValueError(f"expected {name} to be a whole number >= {minimum}, got {value!r}")


def check_batch(batch: Tensor | None, num_nodes: int, name: str = "batch") -> Tensor | None:
    """Validate a batch vector.

    Args:
        batch: image of each node `(N,)`, ascending, or None.
        num_nodes: N.
        name: argument to name in the error.

    Returns:
        The image numbers as int64 `(N,)`, or None.

    Raises:
        ValueError: if it is no vector of N integers, or not in ascending order.
    """
    if batch is None:
        return None
    batch = check_int_vector(name, batch, num_nodes, "one image number per node")
    if (batch[1:] < batch[:-1]).any():  # differences of distant numbers would overflow
        raise ValueError(f"expected {name} in ascending order; sort the nodes by image first")
    return batch


def check_labels(label: Tensor, num_nodes: int, num_classes: int) -> Tensor:
    """Validate class labels.

    Args:
        label: `(N,)`.
        num_nodes: N.
        num_classes: C.

    Returns:
        The labels as int64 `(N,)`.

    Raises:
        ValueError: if there are not N integers, or one is outside 0 to C - 1.
    """
    label = check_int_vector("label", label, num_nodes, "one per node")
    if len(label) and (label.min() < 0 or label.max() >= num_classes):
        raise ValueError(
            f"expected labels from 0 to {num_classes - 1}, got {int(label.min())} to "
            f"{int(label.max())}; leave void nodes out of the graph"
        )
    return label


def check_int_vector(name: str, value: Tensor | None, size: int, meaning: str) -> Tensor:
    """Validate a vector of integers.

    Args:
        name: argument to name in the error.
        value: `(size,)`, of any integer type.
        size: expected number of elements.
        meaning: what an element is, for the error.

    Returns:
        The vector as int64: products of small integer types overflow, and torch takes uint8
        indices for a mask.

    Raises:
        ValueError: if it is no such vector.
    """
    if not isinstance(value, Tensor) or not _is_integer(value) or value.shape != (size,):
        raise ValueError(
            f"expected {name} ({size},) of whole numbers, {meaning}, got {describe(value)}"
        )
    return value.long()


def _is_integer(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)


def check_edges(
    edge_index: Tensor, edge_weight: Tensor, num_sources: int | None, num_targets: int
) -> Tensor:
    """Validate edges and their weights.

    Args:
        edge_index: `(2, E)`, source then target.
        edge_weight: `(E,)`.
        num_sources: number of source nodes; None leaves sources unchecked.
        num_targets: number of target nodes.

    Returns:
        The edges as int64 `(2, E)`.

    Raises:
        ValueError: if the shapes do not match, edges are no integers, or a node is out of range.
    """
    if edge_index.dim() != 2 or len(edge_index) != 2 or edge_weight.shape != edge_index.shape[1:]:
        raise ValueError(
            "expected edge_index (2, E) and edge_weight (E,), "
            f"got {tuple(edge_index.shape)} and {tuple(edge_weight.shape)}"
        )
    if not _is_integer(edge_index):
        raise ValueError(f"expected edge_index of whole numbers, got {describe(edge_index)}")
    edge_index = edge_index.long()
    if not edge_index.numel():
        return edge_index
    low, (source, target) = (side.tolist() for side in edge_index.aminmax(dim=1))
    sources_fit = num_sources is None or source < num_sources
    if min(low) < 0 or target >= num_targets or not sources_fit:
        allowed = "" if num_sources is None else f"sources from 0 to {num_sources - 1} and "
        raise ValueError(
            f"expected {allowed}targets from 0 to {num_targets - 1}, "
            f"got {low[0]} to {source} and {low[1]} to {target}"
        )
    return edge_index


def check_positive(**values: float) -> None:
    """Raise if a value is no finite number above zero.

    Args:
        **values: values under the names to use in the error.

    Raises:
        ValueError: if a value is no number, not above zero, or infinite.
    """
    for name, value in values.items():
        if not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise ValueError(f"expected {name} above 0, got {value!r}")


def describe(value: object) -> str:
    """Describe a value for an error.

    Args:
        value: any object.

    Returns:
        Shape and type of a tensor; else the type and a hint, or the value itself.
    """
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)} of {value.dtype}"
    if hasattr(value, "__len__"):
        return f"{type(value).__name__}; torch.as_tensor makes a tensor of it"
    return repr(value)
