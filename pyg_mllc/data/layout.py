"""Where the images and masks of a data set lie on disk."""

from pathlib import Path

from pyg_mllc.data.specs import DatasetSpec
from pyg_mllc.errors import InputError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def check_root(spec: DatasetSpec, root: str | Path | None) -> Path:
    """Give the root folder of a data set.

    Raises:
        InputError: If it is not given or not there.
    """
    if root is None or not Path(root).is_dir():
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


def _by_stem(folder: Path) -> dict[str, Path]:
    """Give the image files of a folder by name without suffix, in the order of the names."""
    if not folder.is_dir():
        raise InputError(
            f"The folder {folder} does not exist: add it, or correct data.root={folder.parent}."
        )
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    named = {path.stem: path for path in files}
    for path in files:
        if named[path.stem] != path:
            raise InputError(
                f"{path} and {named[path.stem]} differ by their suffix only: rename or remove one, "
                "as names without suffix pair images with masks."
            )
    return named


def image_files(spec: DatasetSpec, root: str | Path | None, split: str) -> list[Path]:
    """Give the images of a split, in the order of its list or else of their names.

    Args:
        spec: Layout of the data set.
        root: Its folder.
        split: ``train`` or ``val``.

    Raises:
        InputError: If the folder, the list or a listed image is missing, or there is no image.
    """
    root = check_root(spec, root)
    folder = root / spec.images.format(split=split)
    listing = root / spec.listing.format(split=split)
    files = _by_stem(folder)
    if spec.listing:
        if not listing.is_file():
            raise InputError(
                f"The list {listing} does not exist: put it there, one image name per line, or "
                f"correct data.root={root}."
            )
        lines = listing.read_text(encoding="utf-8").splitlines()
        names = [line.strip() for line in lines if line.strip()]
        missing = [name for name in names if name not in files]
        if missing:
            raise InputError(
                f"{listing} names {missing[0]!r}, but {folder} has no such image ({len(missing)} "
                f"of {len(names)} are missing): add the images or shorten the list."
            )
        files = {name: files[name] for name in names}
    if not files:
        source = listing if spec.listing else folder
        raise InputError(f"{source} has no image for the split {split!r}: add some.")
    return list(files.values())


def mask_files(
    spec: DatasetSpec, root: str | Path | None, split: str, images: list[Path]
) -> dict[Path, Path]:
    """Give the mask of every image that has one.

    Args:
        spec: Layout of the data set.
        root: Its folder.
        split: ``train`` or ``val``.
        images: Image files of the split.

    Returns:
        Image file -> mask file.

    Raises:
        InputError: If the folder of the masks is missing.
    """
    masks = _by_stem(check_root(spec, root) / spec.masks.format(split=split))
    return {path: masks[path.stem] for path in images if path.stem in masks}
