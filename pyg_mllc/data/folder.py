"""Anybody's own images and masks, in folders."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyg_mllc.data.class_table import (
    Row,
    find_classes,
    read_as_binary,
    read_classes,
    spec_of_rows,
)
from pyg_mllc.data.exif import resolve_exif
from pyg_mllc.data.file_pairs import (
    DatasetFiles,
    FilePair,
    files_by_name,
    pair_files,
    warn_of_passed,
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
    """Give the splits of images and masks in folders, matched by name.

    An image and its mask share their path inside their folders but for the ending. Images that have
    no mask are unlabeled ones.

    Args:
        root: Folder that the other folders are in; by default the current one.
        images: Folder of the images.
        masks: Folder of their masks: ids, a palette, or colors.
        unlabeled_images: Folder of more images, which need no masks; by default ``unlabeled/``, if
            there is one.
        val_images: Folder of the validation images; by default ``val_images/``, if there is one.
            Without one, validation images are drawn from those that have a mask.
        val_masks: Folder of their masks; by default ``val_masks/``.
        val_share: Share to draw.
        classes: Table of the classes, see `read_classes`; by default one of `TABLES` in the root,
            or else the classes are found in the masks. Or names: of those to learn where there is
            a table in the root, the others being void; else of all classes, in order.
        void: Ids, or the one id, in masks that mean void.
        mask_suffix: What follows an image's name in the name of its mask, such as ``_mask``.
        labeled: Number of labeled images; by default all that have a mask.
        size: Height and width (H, W) of every sample.
        seed: Seed of the draws.
        exif: How masks lie over photos that EXIF turns: ``turn`` if they fit the photos as shown,
            ``stored`` if they fit their stored pixels, ``auto`` to tell by the sizes of all files.
        **options: Of `make_splits`: unlabeled, val, partition, balanced, overlap, cache.

    Raises:
        InputError: If an option cannot be met or the files are not there, saying which.
    """
    base = Path(root) if root is not None else Path()
    void = (void,) if isinstance(void, int) else void
    if not os.path.isdir(base):
        raise InputError(
            f"data.root={root} does not exist or is no folder: pass data.root=<folder that holds "
            f"{images}/ and {masks}/>."
        )
    layout = DatasetSpec("folder", (), (), mask_suffix=mask_suffix)
    spare = _optional(base, "unlabeled_images", unlabeled_images, "unlabeled")
    more: dict[str, Path] = {}
    if spare:
        more, passed = files_by_name(spare, f"data.unlabeled_images={spare}")
        warn_of_passed(passed)
    measured = _optional(base, "val_images", val_images, "val_images")
    if val_masks and not measured:
        raise InputError(
            f"data.val_masks={val_masks} needs images: add val_images/, or name data.val_images."
        )
    val_masks = base / (val_masks or "val_masks")
    option = f"data.root={base} data.images={images} data.masks={masks}"
    apart = [path for path in (spare, measured, val_masks) if path]
    pairs = pair_files(base / images, base / masks, layout, option, apart)
    if measured:
        option = f"data.val_images={measured} data.val_masks={val_masks}"
        val = pair_files(measured, val_masks, layout, option)
    else:
        val = _drawn(pairs, val_share, seed, option)
        pairs = {name: item for name, item in pairs.items() if name not in val}
    bare = [item.image for item in pairs.values() if item.mask is None]
    if bare:
        log.warning(
            "images without a mask, which count as unlabeled: %d, such as %s", len(bare), bare[0]
        )
    both = [(item.image, item.mask) for item in (*pairs.values(), *val.values()) if item.mask]
    every = [mask for _, mask in both]
    spec = replace(_classes(base, classes, void, every), mask_suffix=mask_suffix)
    if not spec.has_colors:
        check_palettes(every)
    train = pairs | {f"{spare}/{name}": FilePair(path, None) for name, path in more.items()}
    own = base / images, base / masks
    folders = {"train": own, "val": (measured, val_masks) if measured else own}
    tree = DatasetFiles(spec, base, train, val, folders)
    return make_splits(tree, labeled, size, seed, exif=resolve_exif(both, exif), **options)


def _optional(base: Path, option: str, given: str | Path | None, default: str) -> Path | None:
    """A folder that may be absent, unless the user named it."""
    path = base / (given or default)
    if given and not os.path.isdir(path):
        raise InputError(
            f"data.{option}={given}: there is no folder {path}; correct it or leave it out."
        )
    return path if os.path.isdir(path) else None


def _drawn(pairs: dict[str, FilePair], share: float, seed: int, option: str) -> dict[str, FilePair]:
    """Images that have a mask, drawn for validation."""
    if not 0 < share < 1:
        raise InputError(f"data.val_share={share} must be between 0 and 1, such as 0.2.")
    masked = [name for name, item in pairs.items() if item.mask]
    if len(masked) < 2:
        raise InputError(
            f"{option}: {len(masked)} of {len(pairs)} images have a mask of their name, but one "
            "for training and one for validation are the least: add masks, correct "
            "data.mask_suffix, or name data.val_images and data.val_masks."
        )
    count = min(max(1, round(share * len(masked))), len(masked) - 1)
    chosen = set(np.random.default_rng([seed, 1]).permutation(len(masked))[:count].tolist())
    return {name: pairs[name] for place, name in enumerate(masked) if place in chosen}


def _classes(
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
        rows = (Row(place, str(name), None) for place, name in enumerate(classes))
        spec = spec_of_rows(rows, void, f"data.classes={list(classes)}")
        return read_as_binary(spec, masks)
    spec = read_as_binary(find_classes(masks, void, base / TABLES[0]), masks)
    log.warning(
        "no table names the classes: the ids in %d masks say %d; %s may name them, one a line, and "
        "data.void=[%d] would make the last one void",
        len(masks), spec.num_classes, base / TABLES[0], spec.num_classes - 1,
    )  # fmt: skip
    return spec
