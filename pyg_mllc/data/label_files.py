"""LabelStatistics as people and networks leave them: masks, or probabilities of all classes."""

import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_mllc.data.catalog import voc_color
from pyg_mllc.data.exif import apply_orientation
from pyg_mllc.data.id_counts import IdCounts, count_ids
from pyg_mllc.data.image_file import StoredSize, read_stored_size
from pyg_mllc.data.label_statistics import LabelStatistics
from pyg_mllc.data.label_warnings import count_sampled_labels, describe_unknown_values
from pyg_mllc.data.mask_io import classes_of_ids, read_mask, read_palette, read_raw_mask
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.utils.suffixes import ARRAYS, image_suffixes

SUFFIXES = (image_suffixes() - {".jpg", ".jpeg"}) | ARRAYS  # JPEG changes numbers


def read_labels(path: Path, spec: DatasetSpec, orientation: int | None = None) -> NDArray:
    """Return labels `(H, W)`, IGNORE where void, or probabilities `(C, H, W)`.

    Args:
        path: a mask, or an array.
        spec: of the numbers and colors in masks.
        orientation: of EXIF, in place of a mask's own.

    Raises:
        InputError: if the file is none of both, or has other classes.
    """
    if path.suffix.lower() not in ARRAYS:
        return read_mask(path, spec, orientation)
    array = _read_array(path)
    if array.ndim == 2:
        return apply_orientation(classes_of_ids(array, path, spec), orientation or 1)
    last = array.shape[0] != spec.num_classes and array.shape[2] == spec.num_classes
    return apply_orientation(np.moveaxis(array, 2, 0) if last else array, orientation or 1)


def read_stored_label_size(path: Path, spec: DatasetSpec) -> StoredSize:
    """Return how the pixels of a mask or an array lie.

    Args:
        path: see `read_labels`.
        spec: see `read_labels`.

    Raises:
        InputError: as `read_labels`.
    """
    if path.suffix.lower() not in ARRAYS:
        return read_stored_size(path)
    height, width = read_labels(path, spec).shape[-2:]
    return StoredSize(height, width, 1)


def count_classes(
    paths: Iterable[Path], void: Iterable[int], advance: Callable[[int], None]
) -> int:
    """Give how many classes masks have, by the largest number in those that can be read.

    Args:
        paths: of all masks, or of arrays.
        void: numbers that mean void, beside 255.
        advance: called with 1 after each file.

    Raises:
        InputError: if no mask can be read, or as `IdCounts.num_classes`.
    """
    stored, unread = IdCounts(), None  # the first error
    for path in paths:
        try:
            ids = _read_array(path) if path.suffix.lower() in ARRAYS else _read_ids(path)
        except InputError as error:
            unread = unread or error
        else:
            if ids.ndim == 3:  # there are more pixels than classes
                return min(ids.shape[0], ids.shape[2])
            stored.add(path, count_ids(ids))
        advance(1)
    if unread and not stored.pixels:
        raise unread
    return stored.num_classes((255, *void), "give classes=<table>")


def find_label_file_warnings(
    paths: Sequence[Path], spec: DatasetSpec
) -> tuple[list[str], list[str]]:
    """Return what is doubtful about labels, and what is only worth knowing, by some of the files.

    Args:
        paths: masks and arrays.
        spec: of the numbers and colors in masks.

    Raises:
        InputError: if the labels that can be read show one class and void that nobody has named.
    """

    def labels_of(path: Path) -> NDArray:
        given = read_labels(path, spec)
        return given.argmax(0) if given.ndim == 3 else given

    counts, unread = count_sampled_labels(paths, labels_of, spec.num_classes)
    labels = LabelStatistics(spec, counts, f"the masks ({len(counts)} of {len(paths)} read)")
    single = labels.single()
    if single and spec.assumes_void and labels.pixels[-1]:
        raise InputError(single)
    strange = describe_unknown_values([paths[place] for place in unread], spec, read_label_values)
    doubts = [strange, single, labels.much_void(), labels.outlines()]
    notes = [labels.absent(), *labels.hardly()]
    return [one for one in doubts if one], [one for one in notes if one]


def read_label_values(path: Path) -> NDArray:
    """Return the numbers or colors of a mask or of an array of labels, whatever they mean.

    Raises:
        InputError: if the file is none of both.
    """
    if path.suffix.lower() not in ARRAYS:
        return read_raw_mask(path)
    array = _read_array(path)
    if array.ndim != 2:
        raise InputError(f"{path} has an array {array.shape}, which is no mask")
    return array


def read_colors(path: Path, count: int) -> tuple[tuple[int, int, int], ...]:
    """Give the colors of a mask's own palette, or those of PASCAL VOC."""
    palette = None
    if path.suffix.lower() not in ARRAYS:
        with suppress(InputError):  # reading the mask tells what is wrong
            palette = read_palette(path)
    if palette is None or len(palette) < count:
        return tuple(voc_color(number) for number in range(count))
    return tuple((red, green, blue) for red, green, blue in palette[:count].tolist())


def _read_ids(path: Path) -> NDArray:
    ids = read_raw_mask(path)
    if ids.ndim == 3:
        raise InputError(
            f"{path} has colors where a mask has class ids: give classes=<table of the classes and "
            "their colors>, or save it with one channel whose values are the ids"
        )
    return ids


def _read_array(path: Path) -> NDArray:
    """LabelStatistics (H, W) of whole numbers or probabilities of floats, (C, H, W) or (H, W, C)."""
    array = _load_array(path)
    if (array.ndim == 2 and np.issubdtype(array.dtype, np.integer)) or (
        array.ndim == 3 and np.issubdtype(array.dtype, np.floating)
    ):
        return array
    raise InputError(
        f"{path} has an array {array.shape} of {array.dtype}; give probabilities (C, H, W) or "
        "(H, W, C) of floats, or labels (H, W) of whole numbers"
    )


def _load_array(path: Path) -> NDArray:
    try:
        # Mapped: often the shape alone is asked for.
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            if len(found.files) != 1:
                raise InputError(f"{path} has the arrays {', '.join(found.files)}; give one alone")
            return found[found.files[0]]
    except InputError:
        raise
    # What a stranger's file makes of NumPy; it never runs code, for pickles are not read.
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no array of numbers: {str(error).split('. ')[0]}") from error
