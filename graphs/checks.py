"""What every builder asks of its input, and how it says so."""

import torch
from torch import Tensor


def check_nodes(x: Tensor, name: str = "x") -> None:
    """Refuse node features that are no finite matrix `(N, D)`.

    Raises:
        ValueError: if so, saying what was given.
    """
    if x.dim() != 2 or not x.is_floating_point():
        raise ValueError(
            f"expected {name} to be floating-point node features (N, D), "
            f"got shape {tuple(x.shape)} of {x.dtype}"
        )
    # One pass without a mask: a sum is finite only if all of its terms are, or if it overflows.
    if not torch.isfinite(x.sum()) and not torch.isfinite(x).all():
        raise ValueError(
            f"expected finite node features, got NaN or infinity in {name}; "
            "torch.nan_to_num replaces them"
        )


def check_batch(batch: Tensor | None, num_nodes: int, name: str = "batch") -> None:
    """Refuse a batch vector that does not give each node its image, in ascending order.

    Raises:
        ValueError: if so, saying what was given.
    """
    if batch is None:
        return
    if batch.shape != (num_nodes,):
        raise ValueError(
            f"expected {name} of shape ({num_nodes},), one image number per node, "
            f"got {tuple(batch.shape)}"
        )
    if (batch.diff() < 0).any():
        raise ValueError(f"expected {name} in ascending order; sort the nodes by image first")


def check_labels(label: Tensor, num_nodes: int, num_classes: int) -> None:
    """Refuse labels that do not name a class for each node.

    Raises:
        ValueError: if so, saying what was given.
    """
    if label.shape != (num_nodes,):
        raise ValueError(
            f"expected label of shape ({num_nodes},), one per node, got {tuple(label.shape)}"
        )
    if len(label) and (label.min() < 0 or label.max() >= num_classes):
        raise ValueError(
            f"expected labels from 0 to {num_classes - 1}, got {int(label.min())} to "
            f"{int(label.max())}; leave void nodes out of the graph"
        )


def image_sizes(batch: Tensor | None, num_nodes: int, num_images: int = 1) -> list[int]:
    """Count the nodes of each of at least `num_images` images.

    >>> image_sizes(torch.tensor([0, 0, 2]), num_nodes=3)
    [2, 0, 1]
    """
    if batch is None:
        return [num_nodes] + [0] * (num_images - 1)
    return torch.bincount(batch, minlength=num_images).tolist()
