"""Image and mask files to arrays, and arrays to one size."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from pyg_mllc.data.specs import IGNORE, DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.suffixes import image_suffixes, is_passed_over, mend

STRETCHED = {"L;2": 85, "L;4": 17}  # gray of few bits, which Pillow brings to 0..255
_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of more than 8 bits


def _open(path: Path) -> Image.Image:
    """Give the decoded picture, turned the way its EXIF orientation says."""
    with _readable(path), Image.open(path) as picture:
        return ImageOps.exif_transpose(picture)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: give an image file.") from error
    # Pillow's decoders report broken files through nearly every kind of exception.
    except Exception as error:
        other = is_passed_over(path, image_suffixes())
        advice = mend([path]) if other else "replace the file or take it out of the data set"
        raise InputError(
            f"{path} cannot be read as an image ({error or type(error).__name__}): {advice}."
        ) from error


def picture_size(path: Path) -> tuple[int, int]:
    """Give height and width of an image file, from its head, as its EXIF orientation turns it.

    Raises:
        InputError: If the file is no image.
    """
    with _readable(path), Image.open(path) as picture:
        # Of a TIFF Pillow tells the size as it is after turning.
        turned = (
            picture.format != "TIFF" and picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        )
        return picture.size if turned else picture.size[::-1]


def read_image(path: Path) -> Image.Image:
    """Give an image file as an RGB picture; transparency is dropped.

    Raises:
        InputError: If the file is no image, or Pillow keeps more than 8 bits per channel of it.
    """
    return to_rgb(_open(path), str(path))


def to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Give a picture in RGB; transparency is dropped.

    Args:
        picture: In any mode of Pillow of up to 8 bits per channel.
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


def read_mask(path: Path, spec: DatasetSpec) -> np.ndarray:
    """Give the classes of a mask file, void as `IGNORE`.

    Of a mask with one channel the stored values are looked up in the spec's ids; a palette is not
    looked at, its index counts. Of a mask in color the colors are looked up in the spec's palette.

    Args:
        path: A mask, with or without transparency, which is dropped.
        spec: What its values mean.

    Returns:
        Classes, int32 (H, W).

    Raises:
        InputError: If the file is no image, or holds a value that the spec does not know.
    """
    values = read_raw_mask(path)
    return (classes_of_ids if values.ndim == 2 else _classes_of_colors)(values, path, spec)


def read_raw_mask(path: Path) -> np.ndarray:
    """Give what a mask file stores: ids, int32 (H, W), or colors, uint8 (H, W, 3).

    Raises:
        InputError: If the file is no image, or in a mode that no mask has.
    """
    with _readable(path), Image.open(path) as head:
        lossy, stored = head.format in ("JPEG", "MPO"), _stored(head)
    if lossy:
        raise InputError(
            f"{path} is a JPEG, which changes the numbers and colors of a mask: save it as PNG."
        )
    if stored == "LA;16B":
        raise InputError(f"{path} has 16 bits and transparency: save the mask without the latter.")
    picture = _open(path)
    if picture.mode in ("RGB", "RGBA", "RGBX"):
        return np.asarray(picture)[..., :3]
    if picture.mode == "F" or picture.mode.rstrip("A") not in ("1", "L", "P", *_DEEP):
        raise InputError(
            f"{path} is a mask in the wrong mode (Pillow mode {picture.mode}): save it as PNG, "
            "with one channel of class ids or with colors."
        )
    ids = np.asarray(picture.getchannel(0) if picture.mode.endswith("A") else picture)
    return ids.astype(np.int32) // STRETCHED.get(stored, 1)


def _stored(head: Image.Image) -> str:
    """How the pixels of an opened file are stored, in Pillow's words."""
    tile: Any = getattr(head, "tile", None)
    args = tile[0][3] if tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def classes_of_ids(ids: np.ndarray, path: Path, spec: DatasetSpec) -> np.ndarray:
    """Give the classes that ids of a file stand for, int32 of their shape, void as `IGNORE`.

    Raises:
        InputError: If the spec does not know an id.
    """
    classes = _look_up(ids, spec.ids)
    unknown = np.unique(ids[classes < 0])
    if len(unknown):
        raise InputError(
            f"{path} holds the ids {_listed(map(str, unknown))}, but {_known(spec)}: convert the "
            "mask or correct the table of the classes."
        )
    return classes


def _classes_of_colors(pixels: np.ndarray, path: Path, spec: DatasetSpec) -> np.ndarray:
    classes = _look_up(packed(pixels), {_pack(*color): c for color, c in spec.palette.items()})
    unknown = np.unique(pixels[classes < 0], axis=0)
    if not len(unknown):
        return classes
    gray = np.all(unknown == unknown[:, :1])
    mend = (
        "if these gray values are ids, save the mask with one channel."
        if gray
        else "convert the mask or add the colors to the table of the classes."
    )
    listed = _listed(str(tuple(color)) for color in unknown.tolist())
    raise InputError(
        f"{path} holds the colors {listed}, which are not among the {len(spec.palette)} of "
        f"{spec.name}: {mend}"
    )


def _look_up(codes: np.ndarray, table: dict[int, int]) -> np.ndarray:
    """Give the class of each code, -1 where the table has none."""
    keys = np.array(sorted(table), dtype=np.int64)
    labels = np.array([table[key] for key in keys.tolist()], dtype=np.int32)
    position = np.searchsorted(keys, codes).clip(max=len(keys) - 1)
    return np.where(keys[position] == codes, labels[position], np.int32(-1))


def packed(pixels: np.ndarray) -> np.ndarray:
    """Give colors (..., 3) as one number each, int32 (...)."""
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    return _pack(red, green, blue)


def _pack(red: Any, green: Any, blue: Any) -> Any:
    return (red << 16) + (green << 8) + blue


def _known(spec: DatasetSpec) -> str:
    own = [code for code, label in spec.ids.items() if label != IGNORE]
    if own == list(range(spec.num_classes)):
        classes = f"are 0 to {spec.num_classes - 1}"
    else:
        classes = f"have the ids {_listed(map(str, own))}"
    void = [code for code in spec.void if isinstance(code, int)]
    return f"the classes of {spec.name} {classes} and its void ids {void}"


def _listed(values: Iterable[str]) -> str:
    first = list(values)
    return ", ".join(first[:8]) + (", ..." if len(first) > 8 else "")


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
