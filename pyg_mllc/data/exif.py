"""EXIF orientation of masks: drawn on the photo as shown, or on its stored pixels."""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np

from pyg_mllc.data.image_file import StoredSize, read_stored_size
from pyg_mllc.errors import InputError

log = logging.getLogger(__name__)

TURN, STORED, EITHER = "turn", "stored", "either"


def resolve_exif(
    pairs: Collection[tuple[Path, Path]],
    exif: str,
    option: str = "data.exif",
    read_size: Callable[[Path], StoredSize] = read_stored_size,
) -> str:
    """Resolve the option ``exif``: how masks lie over photos that EXIF rotates.

    Args:
        pairs: Images and their masks.
        exif: ``turn`` if masks fit the photos as shown, after each file's own EXIF orientation;
            ``stored`` if they fit the stored pixels of the photos; ``auto`` to decide by the sizes
            of all files.
        option: Name of the option, for messages.
        read_size: Reads the stored size of a mask.

    Returns:
        ``turn`` or ``stored``.

    Raises:
        InputError: If ``exif`` is unknown, or some masks fit only as shown and others only as
            stored.
    """
    if exif in (TURN, STORED):
        return exif
    if exif != "auto":
        raise InputError(f"{option}={exif} is none of auto, turn, stored.")
    fitting: dict[str, list[Path]] = defaultdict(list)
    images, masks = [image for image, _ in pairs], [mask for _, mask in pairs]
    with ThreadPoolExecutor() as pool:
        for mask, fit in zip(masks, pool.map(_fit, images, masks, repeat(read_size)), strict=True):
            fitting[fit].append(mask)
    if fitting[TURN] and fitting[STORED]:
        raise InputError(
            f"{fitting[TURN][0]} has the size of its photo as EXIF turns it, and "
            f"{fitting[STORED][0]} "
            f"that of its stored pixels: draw all masks on either, or give {option}=turn or "
            f"{option}=stored and mend the others."
        )
    rotated = sum(len(fitting[fit]) for fit in (TURN, STORED, EITHER))
    if fitting[STORED]:
        log.warning(
            "photos that EXIF turns: %d; masks such as %s fit their stored pixels, so all masks "
            "are turned with them (%s=stored)", rotated, fitting[STORED][0], option,
        )  # fmt: skip
    elif fitting[TURN]:
        log.info("photos that EXIF turns: %d; their masks fit them as shown", rotated)
    elif fitting[EITHER]:
        log.warning(
            "photos that EXIF turns: %d; no size tells how masks such as %s lie, so they are taken "
            "to fit the photos as shown (%s=turn), not the stored pixels (%s=stored)",
            rotated, fitting[EITHER][0], option, option,
        )  # fmt: skip
    return STORED if fitting[STORED] else TURN


def _fit(image: Path, mask: Path, read_size: Callable[[Path], StoredSize]) -> str:
    """Return which reading the size of a mask fits; empty if both are the same or none fits."""
    try:
        photo, drawn = read_stored_size(image), read_size(mask)
    except InputError:  # reading the sample raises it again
        return ""
    if photo.orientation == drawn.orientation:
        return ""
    size = photo.rotated(photo.orientation)
    turn, stored = (drawn.rotated(o) == size for o in (drawn.orientation, photo.orientation))
    return (EITHER if turn else STORED) if stored else (TURN if turn else "")


def mask_orientation(image: Path, exif: str) -> int | None:
    """Return the EXIF orientation that applies to the mask of a photo.

    Args:
        image: Photo.
        exif: ``turn`` or ``stored``, see `resolve_exif`.

    Returns:
        Orientation, 1 to 8; None for the mask's own.

    Raises:
        InputError: If the photo cannot be read.
    """
    return read_stored_size(image).orientation if exif == STORED else None


def apply_orientation(array: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate and flip an array by an EXIF orientation.

    Args:
        array: Array (..., H, W).
        orientation: EXIF orientation, 1 to 8.

    Returns:
        View of the array, (..., H, W) or (..., W, H).

    Example:
        >>> apply_orientation(np.array([[1, 2, 3]]), 6).tolist()
        [[1], [2], [3]]
    """
    if orientation >= 5:
        array = array.swapaxes(-1, -2)
    flipped = {2: (-1,), 3: (-2, -1), 4: (-2,), 6: (-1,), 7: (-2, -1), 8: (-2,)}
    return np.flip(array, flipped.get(orientation, ()))
