"""Labeled, unlabeled and validation images of an experiment."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pyg_mllc.data.base import SampleSet
from pyg_mllc.data.choosing import as_listed, drawn, listed
from pyg_mllc.data.dataset import SegmentationDataset
from pyg_mllc.data.file_pairs import Item, Tree
from pyg_mllc.data.label_doubts import label_doubts
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.data.split_lists import write_list
from pyg_mllc.utils.validation import check_count, evenly_spaced


@dataclass(frozen=True)
class Splits:
    """The three data sets of a semi-supervised experiment.

    Args:
        spec: Classes and colors of all three.
        labeled: Training samples with labels.
        unlabeled: Training samples without; none of them is labeled, unless that was asked for.
            May be empty.
        val: Validation samples with labels.
    """

    spec: DatasetSpec
    labeled: SampleSet
    unlabeled: SampleSet
    val: SampleSet

    @cached_property
    def doubts(self) -> list[str]:
        """What is doubtful about the labels, from a look at some masks; see `label_doubts`."""
        return label_doubts(self.labeled, self.val)


def make_splits(
    tree: Tree,
    labeled: int | None,
    size: tuple[int, int],
    seed: int = 0,
    unlabeled: int | None = None,
    val: int | None = None,
    partition: str | int | None = None,
    balanced: bool = False,
    overlap: bool = False,
    cache: str | Path | None = None,
    exif: str = "turn",
) -> Splits:
    """Part a data set on disk into labeled, unlabeled and validation images.

    Args:
        tree: The data set.
        labeled: Number of labeled images, drawn from the training images that have a mask; None
            takes all of these.
        size: Height and width (H, W) of every sample.
        seed: Seed of the draw.
        unlabeled: At most so many of the other training images; None takes all.
        val: At most so many validation images, evenly spaced; None takes all.
        partition: Name of a published protocol, whose number replaces ``labeled``; or a folder
            with the lists ``labeled.txt`` and, if wanted, ``unlabeled.txt`` and ``val.txt``, the
            latter there or one folder up, which replace the draw.
        balanced: Whether to draw so that each class is in about as many labeled images.
        overlap: Whether labeled images may be among the unlabeled ones.
        cache: Folder to keep decoded samples in, see `SegmentationDataset`.
        exif: How masks lie over photos that EXIF turns, see `SegmentationDataset`.

    Raises:
        InputError: If an option cannot be met or files are missing, saying which.
    """
    check_count("data.seed", seed, 0)
    for option, count, minimum in (
        ("labeled", labeled, 1), ("unlabeled", unlabeled, 0), ("val", val, 1),
    ):  # fmt: skip
        if count is not None:
            check_count(f"data.{option}", count, minimum)
    protocol = tree.spec.protocols.get(str(partition).replace("/", "_"))
    if partition is None or protocol:
        known, others = drawn(tree, labeled, unlabeled, seed, protocol, balanced, overlap)
        measured = listed(tree, "val", True)
    else:
        known, others, measured = as_listed(tree, Path(str(partition)), overlap)
        others = [others[i] for i in evenly_spaced(len(others), unlabeled)]
    measured = [measured[i] for i in evenly_spaced(len(measured), val)]
    return Splits(
        spec=tree.spec,
        labeled=SegmentationDataset(*_files(known), tree.spec, size, cache, exif),
        unlabeled=SegmentationDataset(_files(others)[0], None, tree.spec, size, cache),
        val=SegmentationDataset(*_files(measured), tree.spec, size, cache, exif),
    )


def write_partition(splits: Splits, folder: Path, root: str | Path | None) -> None:
    """Write which images are labeled, unlabeled and for validation, as lists in a folder.

    Data sets that are not made of files, such as the built-in textures, have none to write.

    Args:
        splits: What to write.
        folder: Made if it is missing.
        root: Folder of the data set.
    """
    for part in ("val", "unlabeled", "labeled"):  # where the last one is, all are
        samples = getattr(splits, part)
        if isinstance(samples, SegmentationDataset):
            folder.mkdir(parents=True, exist_ok=True)
            items = [
                Item(image, samples.masks[index] if samples.masks else None)
                for index, image in enumerate(samples.images)
            ]
            write_list(folder / f"{part}.txt", items, Path(root or "."))


def _files(items: list[Item]) -> tuple[list[Path], list[Path]]:
    return [item.image for item in items], [item.mask for item in items if item.mask]
