"""Labeled, unlabeled and validation images of an experiment."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyg_mllc.data.dataset import SegmentationDataset
from pyg_mllc.data.layout import Item, Tree
from pyg_mllc.data.lists import find_listed, write_list
from pyg_mllc.data.partitions import classes_lacking, classes_present, draw_labeled
from pyg_mllc.data.samples import SampleSet, check_count
from pyg_mllc.data.specs import DatasetSpec, Protocol
from pyg_mllc.errors import InputError

log = logging.getLogger(__name__)


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


def evenly_spaced(length: int, count: int | None) -> list[int]:
    """Give at most ``count`` of ``length`` positions, evenly spaced from first to last.

    Example:
        >>> evenly_spaced(101, 5)
        [0, 25, 50, 75, 100]
    """
    if count is None or count >= length:
        return list(range(length))
    return np.linspace(0, length - 1, count).round().astype(int).tolist()


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
        known, others = _drawn(tree, labeled, unlabeled, seed, protocol, balanced, overlap)
        measured = _in_list(tree, "val", True)
    else:
        known, others, measured = _as_listed(tree, Path(str(partition)), overlap)
        others = [others[i] for i in evenly_spaced(len(others), unlabeled)]
    measured = [measured[i] for i in evenly_spaced(len(measured), val)]
    lacking = classes_lacking(known, tree.spec)
    if lacking:
        log.warning(
            "none of the %d labeled images shows %s: more of them, another data.seed or "
            "data.balanced=true may mend that",
            len(known),
            ", ".join(lacking),
        )
    return Splits(
        spec=tree.spec,
        labeled=SegmentationDataset(*_files(known), tree.spec, size, cache),
        unlabeled=SegmentationDataset(_files(others)[0], None, tree.spec, size, cache),
        val=SegmentationDataset(*_files(measured), tree.spec, size, cache),
    )


def write_partition(splits: Splits, folder: Path, root: str | Path | None) -> None:
    """Write which images are labeled, unlabeled and for validation, as lists in a folder.

    Data sets that are not made of files, such as the built-in textures, have none to write.

    Args:
        splits: What to write.
        folder: Made if it is missing.
        root: Folder of the data set.
    """
    for part in ("labeled", "unlabeled", "val"):
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


def _in_list(tree: Tree, split: str, masked: bool) -> list[Item]:
    """The images of a split, in the order of its list or else of their names."""
    spec = tree.spec
    if spec.listing:
        name = spec.listing.format(split={"train": spec.train}.get(split, split))
        return find_listed(tree.root / name, tree, split, masked)
    items: list[Item] = list(getattr(tree, split).values())
    images, masks = tree.folders[split]
    if not items:
        raise InputError(f"{images} has no image for the split {split!r}: add some.")
    for item in items:
        if masked and item.mask is None:
            raise InputError(
                f"The validation image {item.image} has no mask of that name in {masks}: add the "
                "mask or take the image out."
            )
    return items


def _drawn(
    tree: Tree,
    labeled: int | None,
    unlabeled: int | None,
    seed: int,
    protocol: Protocol | None,
    balanced: bool,
    overlap: bool,
) -> tuple[list[Item], list[Item]]:
    """Labeled and unlabeled training images, drawn."""
    train = _in_list(tree, "train", False)
    masked, first = [item.mask is not None for item in train], None
    if protocol:
        labeled = protocol.labeled
        if len(train) != protocol.of:
            log.warning(
                "the protocol is of %d training images, but %s has %d: figures will not compare",
                protocol.of, tree.root, len(train),
            )  # fmt: skip
    if protocol and protocol.fine:
        listing = tree.root / tree.spec.listing.format(split=tree.spec.fine)
        fine = {item.image for item in find_listed(listing, tree, "train", False)}
        first = [item.image in fine for item in train]
        if protocol.fine == "only":
            masked = [has and finest for has, finest in zip(masked, first, strict=True)]
    known, others = draw_labeled(
        masked,
        sum(masked) if labeled is None else labeled,
        unlabeled,
        seed,
        first,
        classes_present(train, tree.spec) if balanced else None,
        overlap,
    )
    return [train[index] for index in known], [train[index] for index in others]


def _as_listed(tree: Tree, folder: Path, overlap: bool) -> tuple[list[Item], ...]:
    """Labeled, unlabeled and validation images, as the lists of a folder name them."""
    if not os.path.isdir(folder):
        known = f" {', '.join(tree.spec.protocols)}, or" if tree.spec.protocols else ""
        raise InputError(
            f"data.partition={folder} is unknown: pass{known} a folder that holds labeled.txt and "
            "unlabeled.txt."
        )
    labeled = find_listed(folder / "labeled.txt", tree, "train", True)
    taken = {item.image for item in labeled}
    if (folder / "unlabeled.txt").exists():
        none = not (folder / "unlabeled.txt").stat().st_size  # as where a run used none
        unlabeled = [] if none else find_listed(folder / "unlabeled.txt", tree, "train", False)
        both = [item.image for item in unlabeled if item.image in taken]
        if both and not overlap:
            raise InputError(
                f"{folder / 'unlabeled.txt'} names {both[0]}, which labeled.txt names, too "
                f"({len(both)} such): take it out of one, or pass data.overlap=true."
            )
    else:
        train = _in_list(tree, "train", False)
        unlabeled = [item for item in train if overlap or item.image not in taken]
    lists = [path for path in (folder / "val.txt", folder.parent / "val.txt") if path.is_file()]
    val = find_listed(lists[0], tree, "val", True) if lists else _in_list(tree, "val", True)
    return labeled, unlabeled, val
