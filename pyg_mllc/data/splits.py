"""Split a data set into labeled, unlabeled and validation images, by a draw or by lists."""

import logging
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pyg_mllc.data.base import SampleSet
from pyg_mllc.data.dataset import SegmentationDataset
from pyg_mllc.data.file_pairs import DatasetFiles, FilePair
from pyg_mllc.data.label_warnings import find_label_warnings
from pyg_mllc.data.labeled_subset import classes_present, draw_labeled
from pyg_mllc.data.spec import DatasetSpec, Protocol
from pyg_mllc.data.split_lists import find_listed_files, write_list
from pyg_mllc.errors import InputError
from pyg_mllc.utils.sampling import evenly_spaced
from pyg_mllc.utils.validation import check_count

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splits:
    """The three data sets of a semi-supervised experiment.

    Args:
        spec: Classes and colors of all three.
        labeled: Training samples with labels.
        unlabeled: Training samples without labels; may be empty. Labeled images are among them
            only on request.
        val: Validation samples with labels.
    """

    spec: DatasetSpec
    labeled: SampleSet
    unlabeled: SampleSet
    val: SampleSet

    @cached_property
    def label_warnings(self) -> list[str]:
        """Doubtful properties of the labels, by some of the masks; see `find_label_warnings`."""
        return find_label_warnings(self.labeled, self.val)


def make_splits(
    files: DatasetFiles,
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
    """Split the files of a data set into labeled, unlabeled and validation images.

    Args:
        files: Files of the data set.
        labeled: Number of labeled images, drawn from the training images that have a mask; None
            takes all of these.
        size: Height and width (H, W) of every sample.
        seed: Seed of the draw.
        unlabeled: Largest number of other training images; None takes all.
        val: Largest number of validation images, evenly spaced; None takes all.
        partition: Name of a published protocol, whose number replaces ``labeled``; or a folder
            with ``labeled.txt`` and optionally ``unlabeled.txt`` and ``val.txt``, the latter there
            or one folder up. These lists replace the draw.
        balanced: Whether to draw so that each class is in about as many labeled images.
        overlap: Whether labeled images may be among the unlabeled ones.
        cache: Folder of decoded samples, see `SegmentationDataset`.
        exif: How masks lie over photos that EXIF rotates, see `SegmentationDataset`.

    Returns:
        The splits.

    Raises:
        InputError: If an option cannot be met or files are missing.
    """
    check_count("data.seed", seed, 0)
    for option, count, minimum in (
        ("labeled", labeled, 1), ("unlabeled", unlabeled, 0), ("val", val, 1),
    ):  # fmt: skip
        if count is not None:
            check_count(f"data.{option}", count, minimum)
    protocol = files.spec.protocols.get(str(partition).replace("/", "_"))
    if partition is None or protocol:
        known, others = _draw(files, labeled, unlabeled, seed, protocol, balanced, overlap)
        measured = _split_pairs(files, "val", True)
    else:
        known, others, measured = _read_partition(files, Path(str(partition)), overlap)
        others = [others[i] for i in evenly_spaced(len(others), unlabeled)]
    measured = [measured[i] for i in evenly_spaced(len(measured), val)]
    return Splits(
        spec=files.spec,
        labeled=SegmentationDataset(*_columns(known), files.spec, size, cache, exif),
        unlabeled=SegmentationDataset(_columns(others)[0], None, files.spec, size, cache),
        val=SegmentationDataset(*_columns(measured), files.spec, size, cache, exif),
    )


def write_partition(splits: Splits, folder: Path, root: str | Path | None) -> None:
    """Write lists of the labeled, unlabeled and validation images to a folder.

    Data sets that are not made of files, such as the built-in textures, have no lists.

    Args:
        splits: Splits to write.
        folder: Folder of the lists; made if it is missing.
        root: Folder of the data set, which paths in the lists start from.
    """
    for part in ("val", "unlabeled", "labeled"):  # where the last one is, all are
        samples = getattr(splits, part)
        if isinstance(samples, SegmentationDataset):
            folder.mkdir(parents=True, exist_ok=True)
            pairs = [
                FilePair(image, samples.masks[index] if samples.masks else None)
                for index, image in enumerate(samples.images)
            ]
            write_list(folder / f"{part}.txt", pairs, Path(root or "."))


def _columns(pairs: list[FilePair]) -> tuple[list[Path], list[Path]]:
    return [pair.image for pair in pairs], [pair.mask for pair in pairs if pair.mask]


def _split_pairs(files: DatasetFiles, split: str, masked: bool) -> list[FilePair]:
    """Return the images of a split, in the order of its list or else of their names.

    Args:
        files: Files of the data set.
        split: ``train`` or ``val``.
        masked: Whether every image must have a mask.

    Raises:
        InputError: If there are no images, or files are missing.
    """
    spec = files.spec
    if spec.listing:
        name = spec.listing.format(split={"train": spec.train}.get(split, split))
        return find_listed_files(files.root / name, files, split, masked)
    pairs: list[FilePair] = list(getattr(files, split).values())
    images, masks = files.folders[split]
    if not pairs:
        raise InputError(f"{images} has no image for the split {split!r}: add some.")
    for pair in pairs:
        if masked and pair.mask is None:
            raise InputError(
                f"The validation image {pair.image} has no mask of that name in {masks}: add the "
                "mask or take the image out."
            )
    return pairs


def _draw(
    files: DatasetFiles,
    labeled: int | None,
    unlabeled: int | None,
    seed: int,
    protocol: Protocol | None,
    balanced: bool,
    overlap: bool,
) -> tuple[list[FilePair], list[FilePair]]:
    """Draw labeled and unlabeled training images; see `make_splits` for the options.

    Raises:
        InputError: If there are fewer images with a mask than are to be labeled.
    """
    train = _split_pairs(files, "train", False)
    masked, first = [pair.mask is not None for pair in train], None
    if protocol:
        labeled = protocol.labeled
        if len(train) != protocol.of:
            log.warning(
                "the protocol is of %d training images, but %s has %d: figures will not compare",
                protocol.of, files.root, len(train),
            )  # fmt: skip
    if protocol and protocol.fine:
        listing = files.root / files.spec.listing.format(split=files.spec.fine)
        fine = {pair.image for pair in find_listed_files(listing, files, "train", False)}
        first = [pair.image in fine for pair in train]
        if protocol.fine == "only":
            masked = [has and finest for has, finest in zip(masked, first, strict=True)]
    known, others = draw_labeled(
        masked,
        sum(masked) if labeled is None else labeled,
        unlabeled,
        seed,
        first,
        classes_present(train, files.spec) if balanced else None,
        overlap,
    )
    return [train[index] for index in known], [train[index] for index in others]


def _read_partition(
    files: DatasetFiles, folder: Path, overlap: bool
) -> tuple[list[FilePair], list[FilePair], list[FilePair]]:
    """Return labeled, unlabeled and validation images as the lists of a folder name them.

    Args:
        files: Files of the data set.
        folder: Folder of ``labeled.txt``, and perhaps ``unlabeled.txt`` and ``val.txt``.
        overlap: Whether an image may be in both of the first two.

    Raises:
        InputError: If the folder, a list or a file is missing, or lists overlap, also with the
            validation images.
    """
    if not os.path.isdir(folder):
        known = f" {', '.join(files.spec.protocols)}, or" if files.spec.protocols else ""
        raise InputError(
            f"data.partition={folder} is unknown: pass{known} a folder that holds labeled.txt and "
            "unlabeled.txt."
        )
    labeled = find_listed_files(folder / "labeled.txt", files, "train", True)
    taken = {pair.image for pair in labeled}
    if (path := folder / "unlabeled.txt").exists():
        empty = not path.stat().st_size  # as a run without unlabeled images writes it
        unlabeled = [] if empty else find_listed_files(path, files, "train", False)
        both = [pair.image for pair in unlabeled if pair.image in taken]
        if both and not overlap:
            raise InputError(
                f"{path} names {both[0]}, which labeled.txt names, too ({len(both)} such): take it "
                "out of one, or pass data.overlap=true."
            )
    else:
        train = _split_pairs(files, "train", False)
        unlabeled = [pair for pair in train if overlap or pair.image not in taken]
    lists = [path for path in (folder / "val.txt", folder.parent / "val.txt") if path.is_file()]
    if lists:
        val = find_listed_files(lists[0], files, "val", True)
    else:
        val = _split_pairs(files, "val", True)
    training = taken | {pair.image for pair in unlabeled}
    both = [pair.image for pair in val if pair.image in training]
    if both:
        raise InputError(
            f"{both[0]} is for training by the lists in {folder}, and for validation ({len(both)} "
            "such): take it out of one, or name the validation images in val.txt there."
        )
    return labeled, unlabeled, val
