"""Photographs of scikit-image, each cut into a training and a validation part."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mllc.data.batch import to_float

TRAIN_SHARE = 0.65
GAP = 16


@dataclass(frozen=True)
class Photograph:
    """Photograph whose texture is a class.

    Args:
        label: Name of the class.
        loader: Function of `skimage.data` that reads the file.
        color: Color of the class in figures.
        box: Top, left, bottom and right of the part that shows the class; None takes all.
        zoom: Factor that brings its details to the scale of the other photographs.
    """

    label: str
    loader: str
    color: tuple[int, int, int]
    box: tuple[int, int, int, int] | None = None
    zoom: float = 1.0

    def read(self) -> np.ndarray:
        """Read the part of the photograph, uint8 (h, w, 3)."""
        # A slow import, which only users of the textures need.
        from skimage import data

        pixels = getattr(data, self.loader)()
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        top, left, bottom, right = self.box or (0, 0, *pixels.shape[:2])
        return pixels[top:bottom, left:right]


PHOTOGRAPHS = (
    Photograph("brick", "brick", (178, 74, 54), zoom=0.6),
    Photograph("grass", "grass", (86, 160, 62)),
    Photograph("gravel", "gravel", (140, 140, 140), zoom=0.8),
    Photograph("coins", "coins", (222, 184, 60), zoom=0.7),
    Photograph("moon", "moon", (66, 76, 122), zoom=0.7),
    Photograph("page", "page", (238, 232, 213), box=(0, 0, 170, 384)),
    Photograph("cat", "chelsea", (232, 140, 60), box=(0, 0, 300, 390)),
    Photograph("tissue", "immunohistochemistry", (150, 100, 190)),
    Photograph("retina", "retina", (214, 60, 110), box=(230, 230, 1180, 1180), zoom=0.5),
    Photograph("galaxies", "hubble_deep_field", (30, 170, 190), zoom=0.6),
)


def part(pixels: np.ndarray, split: str) -> np.ndarray:
    """Cut the part of a photograph that a split may show.

    The left `TRAIN_SHARE` is for training. The rest without its first `GAP` columns is for
    validation.

    Args:
        pixels: Photograph (h, w, 3).
        split: ``train`` or ``val``.

    Returns:
        Columns of the photograph (h, w', 3).
    """
    border = round(pixels.shape[1] * TRAIN_SHARE)
    return pixels[:, :border] if split == "train" else pixels[:, border + GAP :]


@cache
def pyramid(photograph: Photograph, split: str) -> tuple[Tensor, Tensor]:
    """Load the part of a photograph for a split at full and at half scale; cached.

    It is cut before it is resized, so that no filter mixes pixels across the cut.

    Args:
        photograph: Photograph to load.
        split: ``train`` or ``val``.

    Returns:
        Two float32 images (1, 3, h, w) and (1, 3, h/2, w/2) with values 0-1.
    """
    pixels = np.ascontiguousarray(part(photograph.read(), split))
    image = to_float(torch.from_numpy(pixels).permute(2, 0, 1)[None])  # (h, w, 3) -> (1, 3, h, w)
    full, half = (
        F.interpolate(image, scale_factor=factor, mode="bilinear", antialias=True).clamp(0, 1)
        for factor in (photograph.zoom, photograph.zoom / 2)
    )
    return full, half
