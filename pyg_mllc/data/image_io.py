"""Images in any form, as tensors."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pyg_mllc.data.mask_io import read_image, to_rgb
from pyg_mllc.errors import InputError
from pyg_mllc.typing import Picture


def as_tensor(image: Picture) -> Tensor:
    """Give an image in any form as `(3, H, W)` in [0, 1].

    Args:
        image: path, PIL image, array `(H, W, 3)` or `(H, W)` of uint8, or tensor `(3, H, W)`,
            uint8 or in [0, 1].

    Raises:
        InputError: if it is none, saying what is expected.
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
        return image.float() / 255
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
