"""The user's own images and masks, in folders."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyg_mllc.data.class_table import (
    ClassRow,
    infer_classes,
    read_as_binary,
    read_classes,
    spec_from_rows,
)
from pyg_mllc.data.exif import resolve_exif
from pyg_mllc.data.file_pairs import (
    DatasetFiles,
    FilePair,
    files_by_name,
    pair_files,
    warn_of_skipped,
)
from pyg_mllc.data.palette_consistency import check_palettes
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.data.splits import Splits, make_splits
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.files import TABLES

log = logging.getLogger(__name__)


def folder(
    root: str | Path | None = None,
    images: str | Path = "images",
    masks: str | Path = "masks",
    unlabeled_images: str | Path | None = None,
    val_images: str | Path | None = None,
    val_masks: str | Path | None = None,
    val_share: float = 0.2,
    classes: str | Path | Sequence[str] | None = None,
    void: Sequence[int] | int = (IGNORE,),
    mask_suffix: str = "",
    labeled: int | None = None,
    size: tuple[int, int] = (256, 256),
    seed: int = 0,
    exif: str = "auto",
    **options: Any,
) -> Splits:
    """Load the splits of images and masks in folders, matched by name.

    An image and its mask have the same path inside their folders except for the extension. Images
    without a mask are unlabeled.

    Args:
        root: Folder of the other folders; by default the current one.
        images: Folder of the images.
        masks: Folder of the masks, which store ids, a palette or colors.
        unlabeled_images: Folder of further images without masks; by default ``unlabeled/`` if it
            exists.
        val_images: Folder of the validation images; by default ``val_images/`` if it exists.
            Without it, validation images are drawn from those that have a mask.
        val_masks: Folder of their masks; by default ``val_masks/``.
        val_share: Share of the images with a mask to draw for validation.
        classes: Table of the classes, see `read_classes`; by default one of `TABLES` in the root,
            else the classes are inferred from the masks. Or a list of names: with a table in the
            root, the classes to learn, all others becoming void; else all classes, in order.
        void: Id or ids in masks that mean void.
        mask_suffix: Text after an image's name in the name of its mask, such as ``_mask``.
        labeled: Number of labeled images; by default all that have a mask.
        size: Height and width (H, W) of every sample.
        seed: Seed of the draws.
        exif: How masks lie over photos that EXIF rotates: ``turn`` if they fit the photos as shown,
            ``stored`` if they fit their stored pixels, ``auto`` to decide by the sizes of files.
        **options: Options of `make_splits`: unlabeled, val, partition, balanced, overlap, cache.

    Returns:
        Labeled, unlabeled and validation samples.

    Raises:
        InputError: If an option cannot be met or files are missing.
    """
    base = Path(root) if root is not None else Path()
    void = (void,) if isinstance(void, int) else void
    if not os.path.isdir(base):
        raise InputError(
            f"data.root={root} does not exist or is no folder: pass data.root=<folder that holds "
            f"{images}/ and {masks}/>."
        )
    layout = DatasetSpec("folder", (), (), mask_suffix=mask_suffix)
    unlabeled_folder = _optional(base, "unlabeled_images", unlabeled_images, "unlabeled")
    unlabeled: dict[str, Path] = {}
    if unlabeled_folder:
        option = f"data.unlabeled_images={unlabeled_folder}"
        unlabeled, skipped = files_by_name(unlabeled_folder, option)
        warn_of_skipped(skipped)
    val_folder = _optional(base, "val_images", val_images, "val_images")
    if val_masks and not val_folder:
        raise InputError(
            f"data.val_masks={val_masks} needs images: add val_images/, or name data.val_images."
        )
    val_masks = base / (val_masks or "val_masks")
    option = f"data.root={base} data.images={images} data.masks={masks}"
    other_folders = [path for path in (unlabeled_folder, val_folder, val_masks) if path]
    pairs = pair_files(base / images, base / masks, layout, option, other_folders)
    if val_folder:
        option = f"data.val_images={val_folder} data.val_masks={val_masks}"
        val = pair_files(val_folder, val_masks, layout, option)
    else:
        val = _draw_val(pairs, val_share, seed, option)
        pairs = {name: item for name, item in pairs.items() if name not in val}
    bare = [pair.image for pair in pairs.values() if pair.mask is None]
    if bare:
        log.warning(
            "images without a mask, which count as unlabeled: %d, such as %s", len(bare), bare[0]
        )
    masked = [(pair.image, pair.mask) for pair in (*pairs.values(), *val.values()) if pair.mask]
    all_masks = [mask for _, mask in masked]
    spec = replace(_load_classes(base, classes, void, all_masks), mask_suffix=mask_suffix)
    if not spec.has_colors:
        check_palettes(all_masks)
    train = pairs | {
        f"{unlabeled_folder}/{name}": FilePair(path, None) for name, path in unlabeled.items()
    }
    train_folders = base / images, base / masks
    val_folders = (val_folder, val_masks) if val_folder else train_folders
    folders = {"train": train_folders, "val": val_folders}
    files = DatasetFiles(spec, base, train, val, folders)
    return make_splits(files, labeled, size, seed, exif=resolve_exif(masked, exif), **options)


def _optional(base: Path, option: str, name: str | Path | None, default: str) -> Path | None:
    """Return a folder, or None if it is absent and the user did not name it."""
    path = base / (name or default)
    if name and not os.path.isdir(path):
        raise InputError(
            f"data.{option}={name}: there is no folder {path}; correct it or leave it out."
        )
    return path if os.path.isdir(path) else None


def _draw_val(
    pairs: dict[str, FilePair], share: float, seed: int, option: str
) -> dict[str, FilePair]:
    """Draw images that have a mask for validation."""
    if not 0 < share < 1:
        raise InputError(f"data.val_share={share} must be between 0 and 1, such as 0.2.")
    masked = [name for name, pair in pairs.items() if pair.mask]
    if len(masked) < 2:
        raise InputError(
            f"{option}: {len(masked)} of {len(pairs)} images have a mask of their name, but one "
            "for training and one for validation are the least: add masks, correct "
            "data.mask_suffix, or name data.val_images and data.val_masks."
        )
    count = min(max(1, round(share * len(masked))), len(masked) - 1)
    chosen = set(np.random.default_rng([seed, 1]).permutation(len(masked))[:count].tolist())
    return {name: pairs[name] for place, name in enumerate(masked) if place in chosen}


def _load_classes(
    base: Path,
    classes: str | Path | Sequence[str] | None,
    void: Sequence[int],
    masks: list[Path],
) -> DatasetSpec:
    if isinstance(classes, str | Path):
        return read_as_binary(read_classes(base / classes, void), masks)
    for name in TABLES:
        if os.path.isfile(base / name):
            known = read_as_binary(read_classes(base / name, void), masks)
            return known if classes is None else known.only(classes)
    if classes is not None:
        rows = (ClassRow(place, str(name), None) for place, name in enumerate(classes))
        spec = spec_from_rows(rows, void, f"data.classes={list(classes)}")
        return read_as_binary(spec, masks)
    spec = read_as_binary(infer_classes(masks, void, base / TABLES[0]), masks)
    log.warning(
        "no table names the classes: the ids in %d masks say %d; %s may name them, one a line, and "
        "data.void=[%d] would make the last one void",
        len(masks), spec.num_classes, base / TABLES[0], spec.num_classes - 1,
    )  # fmt: skip
    return spec
