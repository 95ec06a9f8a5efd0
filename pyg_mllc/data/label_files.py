"""Read label files: masks, or arrays of labels or class probabilities."""

import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_mllc.data.builtin_specs import voc_color
from pyg_mllc.data.exif import apply_orientation
from pyg_mllc.data.id_counts import IdCounts, count_ids
from pyg_mllc.data.image_file import StoredSize, read_stored_size
from pyg_mllc.data.label_statistics import LabelStatistics
from pyg_mllc.data.label_warnings import count_sampled_labels, describe_unknown_values
from pyg_mllc.data.mask_io import classes_of_ids, read_mask, read_palette, read_raw_mask
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.typing import Color
from pyg_mllc.utils.suffixes import ARRAYS, image_suffixes

SUFFIXES = (image_suffixes() - {".jpg", ".jpeg"}) | ARRAYS  # JPEG changes ids


def read_labels(path: Path, spec: DatasetSpec, orientation: int | None = None) -> NDArray:
    """Read the labels or class probabilities of a mask or an array.

    Args:
        path: Mask or array file.
        spec: Meaning of ids and colors in masks.
        orientation: EXIF orientation to use; None for the file's own.

    Returns:
        Labels `(H, W)`, `IGNORE` where void, or probabilities `(C, H, W)`.

    Raises:
        InputError: If the file is neither, or has other classes.
    """
    if path.suffix.lower() not in ARRAYS:
        return read_mask(path, spec, orientation)
    array = _read_array(path)
    if array.ndim == 2:
        return apply_orientation(classes_of_ids(array, path, spec), orientation or 1)
    last = array.shape[0] != spec.num_classes and array.shape[2] == spec.num_classes
    return apply_orientation(np.moveaxis(array, 2, 0) if last else array, orientation or 1)


def read_stored_label_size(path: Path, spec: DatasetSpec) -> StoredSize:
    """Read the stored size and the EXIF orientation of a mask or an array.

    Args:
        path: Mask or array file.
        spec: Meaning of ids and colors in masks.

    Returns:
        Stored size; the orientation of arrays is 1.

    Raises:
        InputError: If the file cannot be read, see `read_labels`.
    """
    if path.suffix.lower() not in ARRAYS:
        return read_stored_size(path)
    height, width = read_labels(path, spec).shape[-2:]
    return StoredSize(height, width, 1)


def count_classes(
    paths: Iterable[Path], void: Iterable[int], advance: Callable[[int], None]
) -> int:
    """Count the classes of masks by the largest id in those that can be read.

    Args:
        paths: All masks or arrays.
        void: Ids that mean void, in addition to 255.
        advance: Progress callback, called with 1 after each file.

    Returns:
        Number of classes C.

    Raises:
        InputError: If no mask can be read, or as `IdCounts.infer_num_classes`.
    """
    stored, first_error = IdCounts(), None
    for path in paths:
        try:
            ids = _read_array(path) if path.suffix.lower() in ARRAYS else _read_ids(path)
        except InputError as error:
            first_error = first_error or error
        else:
            if ids.ndim == 3:  # there are more pixels than classes
                return min(ids.shape[0], ids.shape[2])
            stored.add(path, count_ids(ids))
        advance(1)
    if first_error and not stored.pixels:
        raise first_error
    return stored.infer_num_classes((255, *void), "give classes=<table>")


def find_label_file_warnings(
    paths: Sequence[Path], spec: DatasetSpec
) -> tuple[list[str], list[str]]:
    """Find doubtful properties of label files by reading some of them.

    Args:
        paths: Masks and arrays.
        spec: Meaning of ids and colors in masks.

    Returns:
        Warnings, and notes.

    Raises:
        InputError: If the files show one class, and 255 is void only by assumption.
    """

    def read(path: Path) -> NDArray:
        labels = read_labels(path, spec)
        return labels.argmax(0) if labels.ndim == 3 else labels

    counts, unread = count_sampled_labels(paths, read, spec.num_classes)
    labels = LabelStatistics(spec, counts, f"the masks ({len(counts)} of {len(paths)} read)")
    single = labels.single_class()
    if single and spec.assumes_void and labels.pixels[-1]:
        raise InputError(single)
    unknown = describe_unknown_values([paths[place] for place in unread], spec, read_label_values)
    warnings = [unknown, single, labels.much_void(), labels.interpolated()]
    notes = [labels.absent_classes(), *labels.rare_classes()]
    return [message for message in warnings if message], [note for note in notes if note]


def read_label_values(path: Path) -> NDArray:
    """Read the ids or colors of a mask, or the ids of an array, whatever they mean.

    Args:
        path: Mask or array file.

    Returns:
        Ids `(H, W)` or colors `(H, W, 3)`.

    Raises:
        InputError: If the file is neither.
    """
    if path.suffix.lower() not in ARRAYS:
        return read_raw_mask(path)
    array = _read_array(path)
    if array.ndim != 2:
        raise InputError(f"{path} has an array {array.shape}, which is no mask")
    return array


def read_colors(path: Path, count: int) -> tuple[Color, ...]:
    """Read the colors of a mask's palette.

    Args:
        path: Mask or array file.
        count: Number of classes.

    Returns:
        The first colors of the palette; those of PASCAL VOC if it has too few.
    """
    palette = None
    if path.suffix.lower() not in ARRAYS:
        with suppress(InputError):  # reading the mask raises it again
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
    """Read integer labels (H, W), or float probabilities (C, H, W) or (H, W, C)."""
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
        # Mapped, because often only the shape is needed.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if len(loaded.files) != 1:
                raise InputError(f"{path} has the arrays {', '.join(loaded.files)}; give one alone")
            return loaded[loaded.files[0]]
    except InputError:
        raise
    # Errors of NumPy in an untrusted file. No code runs, because pickles are not read.
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no array of numbers: {str(error).split('. ')[0]}") from error
