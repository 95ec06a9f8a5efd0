"""Image and mask files, opened but not decoded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from pyg_mllc.data.file_headers import Head, head_of, orientation_of, tiff_head
from pyg_mllc.data.guards import check_image
from pyg_mllc.errors import InputError
from pyg_mllc.utils.suffixes import image_suffixes, is_passed_over, mend

Check = Callable[[Head, str], None]


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
        other = is_passed_over(path, image_suffixes())
        advice = mend([path]) if other else "replace the file or take it out of the data set"
        raise InputError(f"{path} cannot be read as an image ({reason}): {advice}.") from error


@contextmanager
def opened(path: Path, check: Check | None) -> Iterator[tuple[Image.Image, Head, BinaryIO]]:
    """Open the picture of a file that its owner means, once its head has passed a check.

    Args:
        path: Image or mask file.
        check: Raises for heads that are not wanted.

    Yields:
        The picture, not decoded yet, what the head says, and the file.

    Raises:
        InputError: If the file is no image, or the check refuses it.
    """
    with _readable(path), path.open("rb") as file:
        head = tiff_head(file)
        if head and check:  # of some TIFF files Pillow cannot even open the head
            check(head, str(path))
        with Image.open(path) as picture:
            if not head:
                head = head_of(picture, file)
                if check:
                    check(head, str(path))
            if head.page:
                picture.seek(head.page)
            yield picture, head, file


def upright(picture: Image.Image) -> Image.Image:
    """Return a decoded picture, turned the way its EXIF orientation says.

    Pillow maps some files into memory, and of those confuses height and width of turned TIFF files.
    """
    if isinstance(picture, ImageFile):
        file, picture.filename = picture.filename, ""  # is not mapped without a name
        picture.load()
        picture.filename = file
    return ImageOps.exif_transpose(picture)


class Layout(NamedTuple):
    """How the pixels of a file lie."""

    height: int  # as stored
    width: int
    orientation: int  # by EXIF, 1 to 8

    def turned(self, orientation: int) -> tuple[int, int]:
        """Return height and width after a turn."""
        return (self.width, self.height) if orientation >= 5 else (self.height, self.width)


def read_layout(path: Path, check: Check | None = None) -> Layout:
    """Return how the pixels of an image or mask file lie, from its head.

    Args:
        path: Image or mask file.
        check: Raises for heads that are not wanted.

    Raises:
        InputError: If the file is no image, or the check refuses it.
    """
    with opened(path, check) as (picture, _, file):
        orientation = orientation_of(picture, file)
        width, height = picture.size
        # Of a TIFF Pillow tells the size as it is after turning.
        swapped = picture.format == "TIFF" and orientation >= 5
        return Layout(*((width, height) if swapped else (height, width)), orientation)


def picture_size(path: Path) -> tuple[int, int]:
    """Return height and width of an image file, from its head, as its EXIF orientation turns it.

    Raises:
        InputError: If the file is no image, or `check_image` refuses it.
    """
    layout = read_layout(path, check_image)
    return layout.turned(layout.orientation)
