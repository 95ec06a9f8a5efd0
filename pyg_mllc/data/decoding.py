"""Image and mask files to arrays, and arrays to one size."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from pyg_mllc.data.specs import IGNORE, DatasetSpec
from pyg_mllc.errors import InputError


def _open(path: Path) -> Image.Image:
    """Give the decoded picture, turned the way its EXIF orientation says."""
    with _readable(path), Image.open(path) as picture:
        return ImageOps.exif_transpose(picture)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    # Pillow's decoders report broken files through all of these.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} cannot be read as an image ({error}): replace the file or take it out of the "
            "data set."
        ) from error


def picture_size(path: Path) -> tuple[int, int]:
    """Give height and width of an image file, from its head, as its EXIF orientation turns it.

    Raises:
        InputError: If the file is no image.
    """
    with _readable(path), Image.open(path) as picture:
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return picture.size if turned else picture.size[::-1]


def read_image(path: Path) -> Image.Image:
    """Give an image file as an RGB picture; transparency is dropped.

    Raises:
        InputError: If the file is no image, or has more than 8 bits per channel.
    """
    return to_rgb(_open(path), str(path))


def to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Give a picture in RGB; transparency is dropped.

    Args:
        picture: In any mode of up to 8 bits per channel.
        name: What it is called in messages.

    Raises:
        InputError: If it has more than 8 bits per channel.
    """
    if picture.mode[0] in "IF":
        raise InputError(
            f"{name} has more than 8 bits per channel (Pillow mode {picture.mode}): save it with 8."
        )
    # A palette with partial transparency loses its warning, not its colors, by way of RGBA.
    return (picture.convert("RGBA") if picture.mode == "P" else picture).convert("RGB")


def open_mask(path: Path) -> np.ndarray:
    """Give the ids of a mask file, int32 (H, W), whatever they mean.

    Raises:
        InputError: If the file is no image or has colors.
    """
    picture = _open(path)
    if len(picture.getbands()) != 1:
        raise InputError(
            f"{path} has colors (Pillow mode {picture.mode}) where a mask has class ids: save it "
            "with one channel whose values are the ids."
        )
    return np.asarray(picture).astype(np.int32)


def read_mask(path: Path, spec: DatasetSpec) -> np.ndarray:
    """Give the class ids of a mask file, void ids as `IGNORE`.

    A palette is not looked at: the stored index is the id.

    Args:
        path: A mask with one channel.
        spec: Which ids are classes and which are void.

    Returns:
        Ids, int32 (H, W).

    Raises:
        InputError: If the file is no image, has colors, or holds an id that the spec does not know.
    """
    ids = open_mask(path)
    void = np.isin(ids, spec.void)
    unknown = np.unique(ids[~void & ~np.isin(ids, np.arange(spec.num_classes))])
    if len(unknown):
        listed = ", ".join(map(str, unknown[:8])) + (", ..." if len(unknown) > 8 else "")
        raise InputError(
            f"{path} holds the ids {listed}, but the classes of {spec.name} are 0 to "
            f"{spec.num_classes - 1} and its void ids {list(spec.void)}: convert the mask or "
            "correct the spec."
        )
    return np.where(void, IGNORE, ids).astype(np.int32)


def fitted_size(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Give the largest size of the same aspect ratio that fits inside ``size``.

    Example:
        >>> fitted_size(360, 480, (192, 192))
        (144, 192)
    """
    scale = min(size[0] / height, size[1] / width)
    return (
        min(size[0], max(1, round(height * scale))),
        min(size[1], max(1, round(width * scale))),
    )


def letterbox(picture: Image.Image, size: tuple[int, int], nearest: bool, fill: int) -> np.ndarray:
    """Scale a picture into the top left corner of an array and fill the rest.

    Args:
        picture: One or three channels.
        size: Height and width (H, W) of the array.
        nearest: Take the nearest pixel, as ids need it, rather than an antialiased mean.
        fill: Value right of and below the picture.

    Returns:
        Array (H, W) or (H, W, 3) of the picture's type.
    """
    height, width = fitted_size(picture.height, picture.width, size)
    # Pillow's bilinear filter widens with the reduction: it is antialiased.
    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    scaled = np.asarray(picture.resize((width, height), method))
    boxed = np.full((*size, *scaled.shape[2:]), fill, dtype=scaled.dtype)
    boxed[:height, :width] = scaled
    return boxed
