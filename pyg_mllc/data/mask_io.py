"""Image and mask files to arrays, and arrays to one size."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pyg_mllc.data.file_headers import ORIENTATION, head_of
from pyg_mllc.data.guards import check_image, check_mask
from pyg_mllc.data.image_layout import opened, upright
from pyg_mllc.data.palette_masks import by_color
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError, listed
from pyg_mllc.typing import IGNORE

_SHOWN = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_PLAIN = {"P": "RGBA", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}
_IDS = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16L", "I;16B", "I;16N")


def read_image(path: Path) -> Image.Image:
    """Return an image file as an RGB picture, turned as EXIF says; transparency is dropped.

    Raises:
        InputError: If the file is no image, or `check_image` refuses it.
    """
    with opened(path, check_image) as (picture, _, _):
        turned = upright(picture)
    return _in_rgb(turned, str(path))


def to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Return a picture in RGB, turned as EXIF says; transparency is dropped.

    Args:
        picture: In any mode of Pillow of up to 8 bits per channel.
        name: What it is called in messages.

    Raises:
        InputError: If `check_image` refuses it.
    """
    check_image(head_of(picture), name)
    return _in_rgb(upright(picture), name)


def _in_rgb(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode not in _SHOWN:
        raise InputError(f"{name} has the colors of {picture.mode}: save it as gray or RGB.")
    # Through RGBA, a palette with partial transparency is converted without a warning.
    shown = picture.convert(_PLAIN.get(picture.mode, picture.mode))
    if shown.mode in ("LA", "RGBA") and picture.mode != "P":
        _check_alpha(np.asarray(shown), name)
    return shown.convert("RGB")


def _check_alpha(pixels: np.ndarray, name: str) -> None:
    """Raise if the last channel (H, W, -1), called transparency, holds content of its own."""
    alpha = pixels[..., -1]
    if alpha.min() == alpha.max():
        return
    if not np.ptp(pixels[..., :-1], axis=(0, 1)).any():
        raise InputError(
            f"{name} shows something by its transparency alone, which is dropped: save it over a "
            "background."
        )
    if np.isin(alpha, (0, 255)).mean() < 0.5:
        raise InputError(
            f"{name} has a last channel that is called transparency but leaves most pixels neither "
            "opaque nor transparent, as near infrared would: save it as gray or RGB, without that "
            "channel."
        )


def read_mask(path: Path, spec: DatasetSpec, orientation: int | None = None) -> np.ndarray:
    """Return the classes of a mask file, void as `IGNORE`.

    Of a mask with one channel the stored values are looked up in the spec's ids, of a mask in color
    the colors in the spec's palette, of a mask with a palette either, see `by_color`.

    Args:
        path: A mask.
        spec: What its values mean.
        orientation: Of EXIF, in place of the one that the file itself gives.

    Returns:
        Classes, int32 (H, W).

    Raises:
        InputError: If the file is no image, `check_mask` refuses it, or the spec does not know a
            value in it.
    """
    values, palette = _stored_mask(path, orientation)
    if values.ndim == 3:
        return _classes_of_colors(values, path, spec)
    if palette is not None and by_color(values, palette, path, spec):
        return _classes_of_colors(palette[values], path, spec)
    return classes_of_ids(values, path, spec)


def read_raw_mask(path: Path, orientation: int | None = None) -> np.ndarray:
    """Return what a mask file stores: ids, int32 (H, W), or colors, uint8 (H, W, 3).

    Raises:
        InputError: If the file is no image, `check_mask` refuses it, or the file is in a mode that
            no mask has.
    """
    return _stored_mask(path, orientation)[0]


def read_palette(path: Path) -> np.ndarray | None:
    """Return the palette (n, 3) of a mask file, without decoding its pixels, if it has one.

    Raises:
        InputError: If the file is no image, or `check_mask` refuses it.
    """
    with opened(path, check_mask) as (picture, _, _):
        return _palette(picture)


def _palette(picture: Image.Image) -> np.ndarray | None:
    """Colors (n, 3) of the numbers, None for those that merely show each as a gray of its value."""
    if picture.mode not in ("P", "PA"):
        return None
    colors = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    return None if (colors == np.arange(len(colors))[:, None]).all() else colors


def _stored_mask(path: Path, orientation: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Ids (H, W) or colors (H, W, 3), and the palette of ids that have one."""
    with opened(path, check_mask) as (drawn, head, _):
        if orientation is not None:
            drawn.getexif()[ORIENTATION] = orientation
        picture = upright(drawn)
    if picture.mode in ("LA", "PA", "RGBA"):
        alpha = np.asarray(picture.getchannel("A"))
        if np.ptp(alpha) or not alpha.any():
            raise InputError(
                f"{path} has transparent pixels, and nothing says whether these are void: save the "
                "mask without transparency."
            )
    if picture.mode in ("RGB", "RGBA", "RGBX"):
        return np.asarray(picture)[..., :3], None
    if picture.mode not in _IDS:
        raise InputError(
            f"{path} is a mask in the wrong mode (Pillow mode {picture.mode}): save it as PNG, "
            "with one channel of class ids or with colors."
        )
    ids = np.asarray(picture.getchannel(0) if picture.mode.endswith("A") else picture)
    if head.numbers == "signed" and head.bits == 8:
        ids = ids.astype(np.uint8).view(np.int8)
    stored, read = head.stretched
    if stored != read and picture.mode not in ("1", "P", "PA"):
        ids = np.rint(ids * (stored / read))
    return ids.astype(np.int32), _palette(picture)


def classes_of_ids(ids: np.ndarray, path: Path, spec: DatasetSpec) -> np.ndarray:
    """Give the classes that ids of a file stand for, int32 of their shape, void as `IGNORE`.

    Raises:
        InputError: If the spec does not know an id.
    """
    classes = _look_up(ids, spec.ids)
    unknown = np.unique(ids[classes < 0])
    if len(unknown):
        raise InputError(
            f"{path} holds the ids {listed(unknown)}, but {_known(spec)}: convert the "
            "mask or correct the table of the classes."
        )
    return classes


def _classes_of_colors(pixels: np.ndarray, path: Path, spec: DatasetSpec) -> np.ndarray:
    classes = _look_up(packed(pixels), {_pack(*color): c for color, c in spec.palette.items()})
    unknown = np.unique(pixels[classes < 0], axis=0)
    if not len(unknown):
        return classes
    if not spec.has_colors:
        raise InputError(
            f"{path} holds colors, such as {tuple(unknown[0].tolist())}, and no table of the "
            "classes says what they mean: give one, lines name,r,g,b, or save the mask with one "
            "channel of class ids."
        )
    gray = np.all(unknown == unknown[:, :1])
    mend = (
        "if these gray values are ids, save the mask with one channel."
        if gray
        else "convert the mask or add the colors to the table of the classes."
    )
    colors = listed(tuple(color) for color in unknown.tolist())
    raise InputError(
        f"{path} holds the colors {colors}, which are not among the {len(spec.palette)} of "
        f"{spec.name}: {mend}"
    )


def _look_up(codes: np.ndarray, table: dict[int, int]) -> np.ndarray:
    """Give the class of each code, -1 where the table has none."""
    if not table:
        return np.full(codes.shape, -1, dtype=np.int32)
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
        classes = f"have the ids {listed(own)}"
    void = [code for code in spec.void if isinstance(code, int)]
    return f"the classes of {spec.name} {classes} and its void ids {void}"


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
