"""Read the directories of TIFF files, also of those that Pillow cannot decode."""

import re
from collections.abc import Sequence
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Directory

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # of classic TIFF and BigTIFF
COLORS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}  # channels of a PhotometricInterpretation
ALPHA = (1, 2, 999)  # ExtraSamples; Corel writes the last one
LOSSY = (6, 7, 33003, 33005, 34712, 34892, 50001)  # Compression: JPEG, JPEG 2000, WebP
NO_PAGE = 1 | 4  # NewSubfileType: a preview, a transparency mask
BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, EXTRA, FORMAT, DEPTH = 258, 259, 262, 277, 338, 339, 32997
DESCRIPTION, SUB_DIRECTORIES, SUBFILE, NEW_SUBFILE = 270, 330, 255, 254


def read_directories(file: BinaryIO) -> list[Directory]:
    """Read the directories of a TIFF file, one per page or preview.

    Args:
        file: TIFF or BigTIFF file.

    Returns:
        Directories.

    Raises:
        ValueError: If there is none.
    """
    file.seek(0)
    start = file.read(8)
    if start[2:4].strip(b"\0") == b"+":  # BigTIFF
        start += file.read(8)
    place, directories = Directory(start).next, dict[int, Directory]()
    while place and place not in directories:
        directories[place] = directory = Directory(start)
        file.seek(place)
        directory.load(file)
        place = directory.next
    if not directories:
        raise ValueError("a TIFF without a page")
    return list(directories.values())


def pages_of(directories: Sequence[Directory]) -> list[int]:
    """Return the positions of pages, without previews and transparency masks."""
    pages = [
        place
        for place, tags in enumerate(directories)
        if not _first(tags, NEW_SUBFILE, 0) & NO_PAGE and _first(tags, SUBFILE, 1) != 2
    ]
    # In raw photos the first directory is a preview, and the photo is in its subdirectory.
    return pages or [0] * (SUB_DIRECTORIES not in directories[0])


def planes_of(tags: Directory) -> int:
    """Return the number of images in a page, by its tags or ImageJ's description."""
    text = str(tags.get(DESCRIPTION, ""))
    images = re.search(r"^images=(\d+)", text, re.MULTILINE) if "ImageJ=" in text else None
    return max(_first(tags, DEPTH, 1), int(images[1]) if images else 1)


def channels_of(tags: Directory) -> tuple[int, int]:
    """Return the number of channels, and of those that are neither color nor alpha."""
    count = _first(tags, SAMPLES, 1)
    colors = COLORS.get(_first(tags, PHOTOMETRIC, 0), count)
    alpha = [kind in ALPHA for kind in _all(tags, EXTRA, ())]
    return count, max(0, count - colors - (alpha == [True]))


def numbers_of(tags: Directory) -> tuple[int, str]:
    """Return the bits of the deepest channel, and its kind: unsigned, signed or float."""
    kinds = {2: "signed", 3: "float"}
    kind = next((kinds[form] for form in _all(tags, FORMAT, (1,)) if form in kinds), "unsigned")
    return max(_all(tags, BITS, (1,))), kind


def is_lossy(tags: Directory) -> bool:
    """Return whether the compression of a page is lossy."""
    return _first(tags, COMPRESSION, 1) in LOSSY


def is_inverted(tags: Directory) -> bool:
    """Return whether the page is gray and 0 means white."""
    return _first(tags, PHOTOMETRIC, 0) == 0


def _all(tags: Directory, tag: int, default: Any) -> tuple[Any, ...]:
    value = tags.get(tag, default)
    return value if isinstance(value, tuple) else (value,)


def _first(tags: Directory, tag: int, default: int) -> int:
    return int(_all(tags, tag, default)[0])
