"""Find the image files of a data set, and the mask file of each."""

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
from pyg_mllc.utils.suffixes import describe_skipped, image_suffixes, split_supported

log = logging.getLogger(__name__)


class FilePair(NamedTuple):
    """Image file, and its mask file if it has one."""

    image: Path
    mask: Path | None


@dataclass(frozen=True)
class DatasetFiles:
    """Files of a data set.

    Args:
        spec: Classes and layout.
        root: Folder of the data set.
        train: Training images and their masks by name, sorted by name.
        val: Validation images and their masks by name, sorted by name.
        folders: Folders of images and masks, for ``train`` and ``val``.
    """

    spec: DatasetSpec
    root: Path
    train: dict[str, FilePair]
    val: dict[str, FilePair]
    folders: dict[str, tuple[Path, Path]]


def find_dataset_files(spec: DatasetSpec, root: str | Path | None) -> DatasetFiles:
    """Find the files of a data set whose folders follow its spec.

    Args:
        spec: Classes and layout.
        root: Folder of the data set.

    Returns:
        Files of the data set.

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
    """Find the images of a folder, and the masks of the same names.

    Args:
        images: Folder of the images; subfolders are searched, too.
        masks: Folder of the masks, with the same subfolders.
        spec: Suffixes of both.
        option: Options that the user passed, for messages.
        skip: Folders to skip, besides that of the masks.

    Returns:
        Images and their masks by name, sorted by name.

    Raises:
        InputError: If a folder is missing or cannot be read, or two files have one name.
    """
    mask_of, skipped_masks = files_by_name(masks, option, spec.mask_suffix)
    others = [masks, *skip]
    image_of, skipped = files_by_name(images, option, spec.image_suffix, spec.mask_suffix, others)
    warn_of_skipped([*skipped_masks, *skipped])
    unpaired = [path for name, path in mask_of.items() if name not in image_of]
    if unpaired:
        log.warning(
            "masks without an image of their name: %d, such as %s", len(unpaired), unpaired[0],
            extra={"problem": "masks that belong to no image"},
        )  # fmt: skip
    return {name: FilePair(path, mask_of.get(name)) for name, path in image_of.items()}


def files_by_name(
    folder: Path,
    option: str,
    suffix: str = "",
    without: str = "",
    skip: Collection[Path] = (),
) -> tuple[dict[str, Path], list[Path]]:
    """Find the image files of a folder by name.

    The name is the path inside the folder without file extension and ``suffix``.

    Args:
        folder: Folder; subfolders are searched, too.
        option: Option that the user passed, for messages.
        suffix: End of the names before the extension; other files are skipped.
        without: Names with this end are skipped, unless it is empty.
        skip: Folders to skip.

    Returns:
        Files by name, sorted by name; and image files of unsupported formats.

    Raises:
        InputError: If the folder is missing or cannot be read, or two files have one name.
    """
    named: dict[str, Path] = {}
    files, skipped = split_supported(walk(folder, option, skip), image_suffixes())
    for path in files:
        if not path.stem.endswith(suffix) or (without and path.stem.endswith(without)):
            continue
        inside = path.relative_to(folder).with_name(path.stem.removesuffix(suffix))
        name = normalize_name(inside.as_posix())
        if name in named:
            raise InputError(
                f"{named[name]} and {path} differ by their suffix only: rename or remove one, as "
                "names without suffix pair images with masks."
            )
        named[name] = path
    return named, skipped


def warn_of_skipped(paths: Collection[Path]) -> None:
    """Log a warning that names the image files of unsupported formats, if there are any."""
    if paths:
        kind = {"problem": "files of formats that are not read"}
        log.warning("%s", describe_skipped(list(dict.fromkeys(paths))), extra=kind)


def normalize_name(name: str) -> str:
    """Compose the accents of a name: some systems store them apart from their letters."""
    return unicodedata.normalize("NFC", name)
