"""Whether masks of photos that EXIF turns were drawn on the photo as shown or as stored."""

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
    layout_of: Callable[[Path], StoredSize] = read_stored_size,
) -> str:
    """Return how masks lie over photos that EXIF turns, by the sizes of all files.

    Args:
        pairs: Images and their masks.
        exif: ``turn`` if a mask lies as its own EXIF orientation says, if it has one, and so fits
            the photo as shown; ``stored`` if it lies like the stored pixels of the photo; ``auto``
            to see which of both fits the sizes.
        option: Name of the option, for messages.
        layout_of: Reads the layout of a mask.

    Returns:
        ``turn`` or ``stored``.

    Raises:
        InputError: If some masks fit only the one and some only the other.
    """
    if exif in (TURN, STORED):
        return exif
    if exif != "auto":
        raise InputError(f"{option}={exif} is none of auto, turn, stored.")
    found: dict[str, list[Path]] = defaultdict(list)
    images, masks = [image for image, _ in pairs], [mask for _, mask in pairs]
    with ThreadPoolExecutor() as pool:
        for mask, fits in zip(
            masks, pool.map(_fitting, images, masks, repeat(layout_of)), strict=True
        ):
            found[fits].append(mask)
    if found[TURN] and found[STORED]:
        raise InputError(
            f"{found[TURN][0]} has the size of its photo as EXIF turns it, and {found[STORED][0]} "
            f"that of its stored pixels: draw all masks on either, or give {option}=turn or "
            f"{option}=stored and mend the others."
        )
    turned = sum(len(found[fits]) for fits in (TURN, STORED, EITHER))
    if found[STORED]:
        log.warning(
            "photos that EXIF turns: %d; masks such as %s fit their stored pixels, so all masks "
            "are turned with them (%s=stored)", turned, found[STORED][0], option,
        )  # fmt: skip
    elif found[TURN]:
        log.info("photos that EXIF turns: %d; their masks fit them as shown", turned)
    elif found[EITHER]:
        log.warning(
            "photos that EXIF turns: %d; no size tells how masks such as %s lie, so they are taken "
            "to fit the photos as shown (%s=turn), not the stored pixels (%s=stored)",
            turned, found[EITHER][0], option, option,
        )  # fmt: skip
    return STORED if found[STORED] else TURN


def _fitting(image: Path, mask: Path, layout_of: Callable[[Path], StoredSize]) -> str:
    """Which reading the size of a mask fits; empty where both are the same, or none fits."""
    try:
        photo, drawn = read_stored_size(image), layout_of(mask)
    except InputError:  # whoever reads the file says what is wrong
        return ""
    if photo.orientation == drawn.orientation:
        return ""
    size = photo.rotated(photo.orientation)
    turn, stored = (drawn.rotated(o) == size for o in (drawn.orientation, photo.orientation))
    return (EITHER if turn else STORED) if stored else (TURN if turn else "")


def mask_orientation(image: Path, exif: str) -> int | None:
    """Return the EXIF orientation to turn the mask of a photo by, None for the mask's own.

    Args:
        image: The photo.
        exif: ``turn`` or ``stored``, see `resolve_exif`.
    """
    return read_stored_size(image).orientation if exif == STORED else None


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """Return an array (..., H, W) as an EXIF orientation turns it.

    Example:
        >>> turned(np.array([[1, 2, 3]]), 6).tolist()
        [[1], [2], [3]]
    """
    if orientation >= 5:
        array = array.swapaxes(-1, -2)
    flipped = {2: (-1,), 3: (-2, -1), 4: (-2,), 6: (-1,), 7: (-2, -1), 8: (-2,)}
    return np.flip(array, flipped.get(orientation, ()))
