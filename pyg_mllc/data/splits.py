"""Which images are labeled, which are not, and which measure the result."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyg_mllc.data.dataset import SegmentationDataset
from pyg_mllc.data.layout import image_files, mask_files
from pyg_mllc.data.samples import SampleSet, check_count
from pyg_mllc.data.specs import DatasetSpec
from pyg_mllc.errors import InputError


@dataclass(frozen=True)
class Splits:
    """The three data sets of a semi-supervised experiment.

    Args:
        spec: Classes and colors of all three.
        labeled: Training samples with labels.
        unlabeled: Training samples without; none of them is labeled. May be empty.
        val: Validation samples with labels.
    """

    spec: DatasetSpec
    labeled: SampleSet
    unlabeled: SampleSet
    val: SampleSet


def draw_labeled(
    masked: list[bool], labeled: int, unlabeled: int | None, seed: int
) -> tuple[list[int], list[int]]:
    """Draw which training images are labeled; the rest is unlabeled.

    With the same seed a larger draw contains the smaller one.

    Args:
        masked: For each training image whether it has a mask.
        labeled: How many labeled images to draw from those that have one.
        unlabeled: At most so many of the rest, drawn too; None takes all.
        seed: Seed of the draw.

    Returns:
        Positions of the labeled and of the unlabeled images, both ascending.

    Raises:
        InputError: If fewer images have a mask than are asked for.

    Example:
        >>> draw_labeled([True] * 6, labeled=2, unlabeled=None, seed=0)
        ([2, 3], [0, 1, 4, 5])
    """
    if labeled > sum(masked):
        raise InputError(
            f"data.labeled={labeled} is more than the {sum(masked)} training images with a mask: "
            f"pass data.labeled={sum(masked)} or less."
        )
    order = np.random.default_rng(seed).permutation(len(masked)).tolist()
    chosen = [index for index in order if masked[index]][:labeled]
    taken = set(chosen)
    rest = [index for index in order if index not in taken][:unlabeled]
    return sorted(chosen), sorted(rest)


def evenly_spaced(length: int, count: int | None) -> list[int]:
    """Give at most ``count`` of ``length`` positions, evenly spaced from first to last.

    Example:
        >>> evenly_spaced(101, 5)
        [0, 25, 50, 75, 100]
    """
    if count is None or count >= length:
        return list(range(length))
    return np.linspace(0, length - 1, count).round().astype(int).tolist()


def split_folder(
    spec: DatasetSpec,
    root: str | Path | None,
    labeled: int,
    size: tuple[int, int],
    seed: int,
    unlabeled: int | None,
    val: int | None,
) -> Splits:
    """Give the splits of a data set whose files lie as the spec says.

    Args:
        spec: Classes and layout.
        root: Folder that holds the layout.
        labeled: Number of labeled images, drawn from the training images that have a mask.
        size: Height and width (H, W) of every sample.
        seed: Seed of the draw.
        unlabeled: At most so many of the other training images; None takes all.
        val: At most so many validation images, evenly spaced; None takes all.

    Raises:
        InputError: If an option cannot be met or the files are not there, saying which.
    """
    check_count("data.labeled", labeled, 1)
    check_count("data.seed", seed, 0)
    if unlabeled is not None:
        check_count("data.unlabeled", unlabeled, 0)
    if val is not None:
        check_count("data.val", val, 1)
    train = image_files(spec, root, "train")
    masks = mask_files(spec, root, "train", train)
    known, rest = draw_labeled([path in masks for path in train], labeled, unlabeled, seed)
    images = [train[index] for index in known]
    return Splits(
        spec=spec,
        labeled=SegmentationDataset(images, [masks[path] for path in images], spec, size),
        unlabeled=SegmentationDataset([train[index] for index in rest], None, spec, size),
        val=_validation(spec, root, size, val),
    )


def _validation(
    spec: DatasetSpec, root: str | Path | None, size: tuple[int, int], count: int | None
) -> SegmentationDataset:
    images = image_files(spec, root, "val")
    masks = mask_files(spec, root, "val", images)
    for path in images:
        if path not in masks:
            raise InputError(
                f"The validation image {path} has no mask {path.stem}.* in "
                f"{spec.masks.format(split='val')}/: add the mask or take the image out."
            )
    images = [images[index] for index in evenly_spaced(len(images), count)]
    return SegmentationDataset(images, [masks[path] for path in images], spec, size)
