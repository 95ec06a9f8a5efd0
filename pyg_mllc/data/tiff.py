"""What the head of a TIFF file says, also where Pillow cannot decode the file."""

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
    """Return the directories of a TIFF file, one for each page or preview."""
    file.seek(0)
    start = file.read(8)
    if start[2:4].strip(b"\0") == b"+":  # BigTIFF
        start += file.read(8)
    place, found = Directory(start).next, dict[int, Directory]()
    while place and place not in found:
        found[place] = directory = Directory(start)
        file.seek(place)
        directory.load(file)
        place = directory.next
    if not found:
        raise ValueError("a TIFF without a page")
    return list(found.values())


def pages_of(directories: Sequence[Directory]) -> list[int]:
    """Return the positions of the directories that are no previews and no transparency masks."""
    pages = [
        place
        for place, tags in enumerate(directories)
        if not _one(tags, NEW_SUBFILE, 0) & NO_PAGE and _one(tags, SUBFILE, 1) != 2
    ]
    # Of raw photos the first directory is a preview, and the photo is in a directory below it.
    return pages or [0] * (SUB_DIRECTORIES not in directories[0])


def planes_of(tags: Directory) -> int:
    """Return how many pictures a page holds behind each other, by its tags or ImageJ's text."""
    text = str(tags.get(DESCRIPTION, ""))
    images = re.search(r"^images=(\d+)", text, re.MULTILINE) if "ImageJ=" in text else None
    return max(_one(tags, DEPTH, 1), int(images[1]) if images else 1)


def channels_of(tags: Directory) -> tuple[int, int]:
    """Return how many channels a page has, and how many of them are neither color nor alpha."""
    count = _one(tags, SAMPLES, 1)
    colors = COLORS.get(_one(tags, PHOTOMETRIC, 0), count)
    alpha = [kind in ALPHA for kind in _all(tags, EXTRA, ())]
    return count, max(0, count - colors - (alpha == [True]))


def numbers_of(tags: Directory) -> tuple[int, str]:
    """Return the bits of the deepest channel, and whether it is unsigned, signed or float."""
    kinds = {2: "signed", 3: "float"}
    kind = next((kinds[form] for form in _all(tags, FORMAT, (1,)) if form in kinds), "unsigned")
    return max(_all(tags, BITS, (1,))), kind


def is_lossy(tags: Directory) -> bool:
    """Return whether the compression of a page changes numbers."""
    return _one(tags, COMPRESSION, 1) in LOSSY


def is_inverted(tags: Directory) -> bool:
    """Return whether the page is gray and 0 means white."""
    return _one(tags, PHOTOMETRIC, 0) == 0


def _all(tags: Directory, tag: int, default: Any) -> tuple[Any, ...]:
    value = tags.get(tag, default)
    return value if isinstance(value, tuple) else (value,)


def _one(tags: Directory, tag: int, default: int) -> int:
    return int(_all(tags, tag, default)[0])
