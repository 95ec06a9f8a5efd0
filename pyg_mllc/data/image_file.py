"""Open image and mask files without decoding them, and read the size that they store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from pyg_mllc.data.image_header import (
    ImageHeader,
    check_image_header,
    read_header,
    read_orientation,
    read_tiff_header,
)
from pyg_mllc.errors import InputError
from pyg_mllc.utils.suffixes import conversion_advice, image_suffixes, is_unsupported_image

HeaderCheck = Callable[[ImageHeader, str], None]
"""Raises `InputError` for headers that are not wanted, with the name of the file."""


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: give an image file.") from error
    # Pillow's decoders report broken files through nearly every kind of exception.
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "of no format that Pillow reads" if unknown else error or type(error).__name__
        other = is_unsupported_image(path, image_suffixes())
        advice = (
            conversion_advice([path])
            if other
            else "replace the file or take it out of the data set"
        )
        raise InputError(f"{path} cannot be read as an image ({reason}): {advice}.") from error


@contextmanager
def open_image(
    path: Path, check: HeaderCheck | None
) -> Iterator[tuple[Image.Image, ImageHeader, BinaryIO]]:
    """Open the first image of a file that is no preview, after a check of its header.

    Args:
        path: Image or mask file.
        check: Check of the header, such as `check_image_header`; None for no check.

    Yields:
        The image, not decoded yet, its header, and the file.

    Raises:
        InputError: If the file is no image, or as `check`.
    """
    with _readable(path), path.open("rb") as file:
        header = read_tiff_header(file)
        if header and check:  # before Pillow, which cannot open some TIFF files
            check(header, str(path))
        with Image.open(path) as picture:
            if not header:
                header = read_header(picture, file)
                if check:
                    check(header, str(path))
            if header.page:
                picture.seek(header.page)
            yield picture, header, file


def upright(picture: Image.Image) -> Image.Image:
    """Decode an image and rotate it by its EXIF orientation.

    Pillow maps some files into memory. Of mapped TIFF files that EXIF rotates, it confuses height
    and width, so files are not mapped here.
    """
    if isinstance(picture, ImageFile):
        file, picture.filename = picture.filename, ""  # is not mapped without a name
        picture.load()
        picture.filename = file
    return ImageOps.exif_transpose(picture)


class StoredSize(NamedTuple):
    """Size of a file's pixels before EXIF rotates them.

    Args:
        height: Stored height.
        width: Stored width.
        orientation: EXIF orientation, 1 to 8.
    """

    height: int
    width: int
    orientation: int

    def rotated(self, orientation: int) -> tuple[int, int]:
        """Return height and width after an EXIF orientation is applied."""
        return (self.width, self.height) if orientation >= 5 else (self.height, self.width)


def read_stored_size(path: Path, check: HeaderCheck | None = None) -> StoredSize:
    """Read the stored size and the EXIF orientation of a file from its header.

    Args:
        path: Image or mask file.
        check: Check of the header; None for no check.

    Returns:
        Stored size and orientation.

    Raises:
        InputError: If the file is no image, or as `check`.
    """
    with open_image(path, check) as (picture, _, file):
        orientation = read_orientation(picture, file)
        width, height = picture.size
        # Pillow gives the size of a TIFF after its rotation.
        swapped = picture.format == "TIFF" and orientation >= 5
        return StoredSize(*((width, height) if swapped else (height, width)), orientation)


def read_image_size(path: Path) -> tuple[int, int]:
    """Read height and width of an image file, as EXIF rotates it, from its header.

    Args:
        path: Image file.

    Returns:
        Height and width.

    Raises:
        InputError: If the file is no image, or as `check_image_header`.
    """
    stored = read_stored_size(path, check_image_header)
    return stored.rotated(stored.orientation)
