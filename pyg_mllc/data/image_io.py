"""Read images of any form and bring them to one size."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pyg_mllc.data.batch import to_float
from pyg_mllc.data.image_file import open_image, upright
from pyg_mllc.data.image_header import check_image_header, read_header
from pyg_mllc.errors import InputError
from pyg_mllc.typing import ImageLike

_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_WITH_ALPHA = {"P": "RGBA", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}


def as_tensor(image: ImageLike) -> Tensor:
    """Convert an image of any form to a float32 tensor.

    Args:
        image: Path, PIL image, array `(H, W, 3)` or `(H, W)` of uint8, or tensor `(3, H, W)` of
            uint8 or of floats in [0, 1].

    Returns:
        Image `(3, H, W)` in [0, 1].

    Raises:
        InputError: If it has none of these forms.
    """
    if isinstance(image, str | Path):
        image = read_image(Path(image))
    elif isinstance(image, Image.Image):
        image = to_rgb(image, "the image")
    if not isinstance(image, Tensor):
        image = _from_array(np.asarray(image))
    if image.dim() != 3 or len(image) != 3 or not image.numel():
        raise InputError(f"expected an image (3, H, W), got a tensor {tuple(image.shape)}")
    if image.dtype == torch.uint8:
        return to_float(image)
    if not image.is_floating_point() or not (image.min() >= 0 and image.max() <= 1):
        raise InputError(
            f"expected a tensor of uint8 or of floats in [0, 1], got {image.dtype} from "
            f"{image.min().item()} to {image.max().item()}"
        )
    return image.float()


def _from_array(image: NDArray) -> Tensor:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise InputError(
            f"expected a path, a PIL image, an array (H, W, 3) of uint8 or a tensor (3, H, W), "
            f"got an array {image.shape} of {image.dtype}"
        )
    image = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
    return torch.from_numpy(image.copy()).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)


def read_image(path: Path) -> Image.Image:
    """Read an image file as RGB, rotated by its EXIF orientation; transparency is dropped.

    Args:
        path: Image file.

    Returns:
        RGB image.

    Raises:
        InputError: If the file is no image, or as `check_image_header`.
    """
    with open_image(path, check_image_header) as (picture, _, _):
        rotated = upright(picture)
    return _convert_to_rgb(rotated, str(path))


def to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Convert an image to RGB, rotated by its EXIF orientation; transparency is dropped.

    Args:
        picture: Image in any Pillow mode of up to 8 bits per channel.
        name: Name of the image in messages.

    Returns:
        RGB image.

    Raises:
        InputError: If the mode has no RGB form, or as `check_image_header`.
    """
    check_image_header(read_header(picture), name)
    return _convert_to_rgb(upright(picture), name)


def _convert_to_rgb(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode not in _MODES:
        raise InputError(f"{name} has the colors of {picture.mode}: save it as gray or RGB.")
    # Through RGBA, a palette with partial transparency is converted without a warning.
    converted = picture.convert(_WITH_ALPHA.get(picture.mode, picture.mode))
    if converted.mode in ("LA", "RGBA") and picture.mode != "P":
        _check_alpha(np.asarray(converted), name)
    return converted.convert("RGB")


def _check_alpha(pixels: np.ndarray, name: str) -> None:
    """Raise if the last channel of (H, W, C), called transparency, holds content of its own."""
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


def fitted_size(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Compute the largest size of the same aspect ratio that fits inside a box.

    Args:
        height: Height of the image.
        width: Width of the image.
        size: Height and width (H, W) of the box.

    Returns:
        Height and width, each at least 1.

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
    """Scale an image or mask into the top left corner of an array and fill the rest.

    Args:
        picture: Image or mask with one or three channels.
        size: Height and width (H, W) of the array.
        nearest: Whether to take the nearest pixel, as ids need it, not an antialiased mean.
        fill: Value right of and below the image.

    Returns:
        Array (H, W) or (H, W, 3) of the image's type.
    """
    height, width = fitted_size(picture.height, picture.width, size)
    # Pillow's bilinear filter widens with the reduction: it is antialiased.
    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    scaled = np.asarray(picture.resize((width, height), method))
    boxed = np.full((*size, *scaled.shape[2:]), fill, dtype=scaled.dtype)
    boxed[:height, :width] = scaled
    return boxed
