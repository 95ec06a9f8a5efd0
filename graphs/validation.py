"""What every builder asks of its input, and how it says so."""

from numbers import Integral

import torch
from torch import Tensor


def check_nodes(x: Tensor, name: str = "x") -> None:
    """Refuse node features that are no finite matrix `(N, D)`.

    Raises:
        ValueError: if so, saying what was given.
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
    """Refuse queries that are no node features of this width.

    Raises:
        ValueError: if so, saying what was given.
    """
    check_nodes(query, "query")
    if query.size(1) != width:
        raise ValueError(f"expected query (M, {width}), as wide as x, got {tuple(query.shape)}")


def check_neighbors(k: int) -> None:
    """Refuse what is no number of neighbors.

    Raises:
        ValueError: if so, saying what was given.
    """
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise ValueError(f"expected k to be a whole number of neighbors >= 1, got {k!r}")


def check_whole(least: int, **numbers: int) -> None:
    """Refuse what is no whole number, or one below `least`.

    Raises:
        ValueError: if so, saying which.
    """
    for name, value in numbers.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise ValueError(f"expected {name} to be a whole number >= {least}, got {value!r}")


def check_batch(batch: Tensor | None, num_nodes: int, name: str = "batch") -> Tensor | None:
    """Check that a batch vector gives each node its image, in ascending order.

    Returns:
        The image numbers as int64 `(N,)`, or None.

    Raises:
        ValueError: if it does not, saying what was given.
    """
    if batch is None:
        return None
    batch = check_numbers(name, batch, num_nodes, "one image number per node")
    if (batch[1:] < batch[:-1]).any():  # differences of far numbers would wrap around
        raise ValueError(f"expected {name} in ascending order; sort the nodes by image first")
    return batch


def check_labels(label: Tensor, num_nodes: int, num_classes: int) -> Tensor:
    """Check that labels name a class for each node.

    Returns:
        The labels as int64 `(N,)`.

    Raises:
        ValueError: if they do not, saying what was given.
    """
    label = check_numbers("label", label, num_nodes, "one per node")
    if len(label) and (label.min() < 0 or label.max() >= num_classes):
        raise ValueError(
            f"expected labels from 0 to {num_classes - 1}, got {int(label.min())} to "
            f"{int(label.max())}; leave void nodes out of the graph"
        )
    return label


def check_numbers(name: str, value: Tensor | None, count: int, meaning: str) -> Tensor:
    """Check that a tensor is a vector of `count` whole numbers.

    Returns:
        The same numbers as int64: products of small integers wrap around, and torch takes indices
        of uint8 for a mask.

    Raises:
        ValueError: if it is not, saying what was given.
    """
    if not isinstance(value, Tensor) or not _is_whole(value) or value.shape != (count,):
        raise ValueError(
            f"expected {name} ({count},) of whole numbers, {meaning}, got {describe(value)}"
        )
    return value.long()


def _is_whole(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)


def check_edges(
    edge_index: Tensor, edge_weight: Tensor, sources: int | None, targets: int
) -> Tensor:
    """Check that edges join nodes there are, and that weights are theirs.

    Args:
        edge_index: `(2, E)`, source then target.
        edge_weight: `(E,)`.
        sources: number of nodes that edges leave; None leaves them unchecked.
        targets: number of nodes that edges enter.

    Returns:
        The edges as int64 `(2, E)`.

    Raises:
        ValueError: if they do not, saying what was given.
    """
    if edge_index.dim() != 2 or len(edge_index) != 2 or edge_weight.shape != edge_index.shape[1:]:
        raise ValueError(
            "expected edge_index (2, E) and edge_weight (E,), "
            f"got {tuple(edge_index.shape)} and {tuple(edge_weight.shape)}"
        )
    if not _is_whole(edge_index):
        raise ValueError(f"expected edge_index of whole numbers, got {describe(edge_index)}")
    edge_index = edge_index.long()
    if not edge_index.numel():
        return edge_index
    low, (source, target) = (side.tolist() for side in edge_index.aminmax(dim=1))
    if min(low) < 0 or target >= targets or (sources is not None and source >= sources):
        allowed = "" if sources is None else f"sources from 0 to {sources - 1} and "
        raise ValueError(
            f"expected {allowed}targets from 0 to {targets - 1}, "
            f"got {low[0]} to {source} and {low[1]} to {target}"
        )
    return edge_index


def check_positive(**numbers: float) -> None:
    """Refuse numbers that are not above zero.

    Raises:
        ValueError: if so, saying which.
    """
    for name, value in numbers.items():
        if not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise ValueError(f"expected {name} above 0, got {value!r}")


def describe(value: object) -> str:
    """Say what somebody gave."""
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)} of {value.dtype}"
    if hasattr(value, "__len__"):
        return f"{type(value).__name__}; torch.as_tensor makes a tensor of it"
    return repr(value)
