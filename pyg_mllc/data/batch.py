"""The batch that training methods receive, and the conversion of its images to floats."""

from typing import NotRequired, TypedDict

import torch
from torch import Tensor

from pyg_mllc.data.base import Sample


class Batch(TypedDict):
    """Images in [0, 1] and labels of one training step.

    Attributes:
        image: Labeled images, float `(B, 3, H, W)`.
        label: Their classes, int64 `(B, H, W)`; `IGNORE` in void and padding.
        index: Position of each labeled image in the data set, int64 `(B,)`. Methods that keep
            anchors need it.
        unlabeled: Unlabeled images, float `(U, 3, H, W)`. Methods with `uses_unlabeled` need it.
        unlabeled_index: Position of each unlabeled image in the data set, int64 `(U,)`.
        valid: Where unlabeled images are no padding, bool `(U, H, W)`.
    """

    image: Tensor
    label: Tensor
    index: NotRequired[Tensor]
    unlabeled: NotRequired[Tensor]
    unlabeled_index: NotRequired[Tensor]
    valid: NotRequired[Tensor]


def make_batch(
    labeled: Sample,
    unlabeled: Sample | None = None,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Batch:
    """Build the batch of one training step from collated samples.

    Images travel as uint8 and are converted here, so call it after moving samples to the device.

    Args:
        labeled: Collated samples with labels.
        unlabeled: Collated samples without labels; None where the method uses none.
        memory_format: Memory format of the images.

    Returns:
        The batch, on the device of the samples.

    Example:
        >>> from pyg_mllc.data import infinite_loader, textures
        >>> batch = make_batch(next(iter(infinite_loader(textures().labeled, 2, seed=0))))
        >>> batch["image"].shape, batch["label"].shape
        (torch.Size([2, 3, 128, 128]), torch.Size([2, 128, 128]))
    """
    batch: Batch = {
        "image": to_float(labeled["image"]).contiguous(memory_format=memory_format),
        "label": labeled["label"],
    }
    if "index" in labeled:
        batch["index"] = labeled["index"]
    if unlabeled is not None:
        batch["unlabeled"] = to_float(unlabeled["image"]).contiguous(memory_format=memory_format)
        batch["valid"] = unlabeled["valid"]
        if "index" in unlabeled:
            batch["unlabeled_index"] = unlabeled["index"]
    return batch


def to_float(image: Tensor) -> Tensor:
    """Convert uint8 images to floats in [0, 1].

    Args:
        image: Images of any shape, uint8.

    Returns:
        Images of the same shape and memory format.

    Example:
        >>> to_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    return image / 255
