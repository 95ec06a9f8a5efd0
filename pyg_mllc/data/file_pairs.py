"""Where the images and masks of a data set lie on disk."""

import logging
import os
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.utils.files import walk
from pyg_mllc.utils.suffixes import describe_skipped, image_suffixes, sort_out

log = logging.getLogger(__name__)


class FilePair(NamedTuple):
    """An image file and its mask file, if it has one."""

    image: Path
    mask: Path | None


@dataclass(frozen=True)
class DatasetFiles:
    """A data set on disk.

    Args:
        spec: Classes and layout.
        root: Its folder.
        train: What the folders of the training images hold, by name, in the order of the names.
        val: The same of the validation images.
        folders: Folder of the images and of the masks, of ``train`` and ``val``.
    """

    spec: DatasetSpec
    root: Path
    train: dict[str, FilePair]
    val: dict[str, FilePair]
    folders: dict[str, tuple[Path, Path]]


def find_dataset_files(spec: DatasetSpec, root: str | Path | None) -> DatasetFiles:
    """Find the files of a data set that lie as its spec says.

    Raises:
        InputError: If the root or one of the folders is missing or cannot be read.
    """
    root = _check_root(spec, root)
    folders = {
        key: (root / spec.images.format(split=split), root / spec.masks.format(split=split))
        for key, split in (("train", spec.train), ("val", "val"))
    }
    train, val = (pair_files(*pair, spec, f"data.root={root}") for pair in folders.values())
    return DatasetFiles(spec, root, train, val, folders)


def _check_root(spec: DatasetSpec, root: str | Path | None) -> Path:
    if root is None or not os.path.isdir(root):
        folders = dict.fromkeys(
            pattern.format(split=split).split("/")[0] + "/"
            for split in ("train", "val")
            for pattern in (spec.images, spec.masks, spec.listing)
            if pattern
        )
        state = "is not given" if root is None else "does not exist or is no folder"
        raise InputError(
            f"data.root={root} {state}: pass data.root=<folder that holds {' and '.join(folders)}>."
        )
    return Path(root)


def pair_files(
    images: Path, masks: Path, spec: DatasetSpec, option: str, skip: Collection[Path] = ()
) -> dict[str, FilePair]:
    """Find the images of a folder, and the mask of each that has one.

    Args:
        images: Folder of the images; folders in it are looked into, too.
        masks: Folder of the masks, in the same order.
        spec: Suffixes of both.
        option: What the user gave, for messages.
        skip: Folders to pass over, besides that of the masks.

    Raises:
        InputError: If a folder is missing or cannot be read, or two files have one name.
    """
    found, passed = files_by_name(masks, option, spec.mask_suffix)
    others = [masks, *skip]
    pictures, more = files_by_name(images, option, spec.image_suffix, spec.mask_suffix, others)
    warn_of_passed([*passed, *more])
    alone = [path for name, path in found.items() if name not in pictures]
    if alone:
        log.warning(
            "masks without an image of their name: %d, such as %s", len(alone), alone[0],
            extra={"problem": "masks that belong to no image"},
        )  # fmt: skip
    return {name: FilePair(path, found.get(name)) for name, path in pictures.items()}


def files_by_name(
    folder: Path,
    option: str,
    suffix: str = "",
    without: str = "",
    skip: Collection[Path] = (),
) -> tuple[dict[str, Path], list[Path]]:
    """Return the image files of a folder by name, in the order of the names.

    The name is the path inside the folder without ending and ``suffix``.

    Args:
        folder: Folder, looked into with the folders in it.
        option: What the user gave, for messages.
        suffix: Files whose name before the ending does not end so are passed over.
        without: Files whose name ends so are passed over, if this is not empty.
        skip: Folders to pass over.

    Returns:
        The files, and those that hold images of formats that are not read.

    Raises:
        InputError: If the folder is missing or cannot be read, or two files have one name.
    """
    named: dict[str, Path] = {}
    files, passed = sort_out(walk(folder, option, skip), image_suffixes())
    for path in files:
        if not path.stem.endswith(suffix) or (without and path.stem.endswith(without)):
            continue
        inside = path.relative_to(folder).with_name(path.stem.removesuffix(suffix))
        name = plain(inside.as_posix())
        if name in named:
            raise InputError(
                f"{named[name]} and {path} differ by their suffix only: rename or remove one, as "
                "names without suffix pair images with masks."
            )
        named[name] = path
    return named, passed


def warn_of_passed(paths: Collection[Path]) -> None:
    """Log the files that hold images of formats that are not read, if there are any."""
    if paths:
        kind = {"problem": "files of formats that are not read"}
        log.warning("%s", describe_skipped(list(dict.fromkeys(paths))), extra=kind)


def plain(name: str) -> str:
    """Give a name with composed accents: some systems store them apart from their letters."""
    return unicodedata.normalize("NFC", name)
