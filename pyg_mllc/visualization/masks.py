"""Labels and probabilities as image files, and labels over their image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pyg_mllc.typing import IGNORE, Color
from pyg_mllc.utils.io import atomic_open

VOID_COLOR = (224, 224, 192)


def palette_picture(label: Tensor, colors: Sequence[Color]) -> Image.Image:
    """Give a picture that stores the class numbers `(H, W)`, and shows their colors."""
    picture = Image.fromarray(label.cpu().numpy().astype(np.uint8), mode="P")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colors)] = np.array(colors, dtype=np.uint8)
    table[IGNORE] = VOID_COLOR
    picture.putpalette(table.tobytes())
    return picture


def overlay_picture(image: Tensor, label: Tensor, colors: Sequence[Color]) -> Image.Image:
    """Lay the colors of a label over its image, half and half; void and black show it alone.

    Args:
        image: `(3, H, W)` in [0, 1].
        label: `(H, W)`, IGNORE where void.
        colors: of the C classes.
    """
    shown = (255 * image.permute(1, 2, 0)).round().cpu().numpy().astype(np.uint8)
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colors)] = np.array(colors, dtype=np.uint8)
    ids = label.cpu().numpy()
    mixed: NDArray = shown // 2 + table[ids] // 2
    alone = (ids == IGNORE) | ~table[ids].any(2)
    mixed[alone] = shown[alone]
    return Image.fromarray(mixed)


def changes_picture(
    image: Tensor, label: Tensor, changed: Tensor, suspected: Tensor, colors: Sequence[Color]
) -> Image.Image:
    """Paint the pixels that changed in their new class's color, and tint suspected ones red.

    Args:
        image: `(3, H, W)` in [0, 1].
        label: `(H, W)`, after the change.
        changed: `(H, W)` bool.
        suspected: `(H, W)` bool.
        colors: of the C classes.
    """
    gray = (155 + 100 * image.mean(0)).round().cpu().numpy().astype(np.uint8)
    picture = np.repeat(gray[..., None], 3, axis=2)
    there = changed.cpu().numpy()
    picture[suspected.cpu().numpy(), 1:] -= 100  # the faded image is brighter than that
    picture[there] = np.array(colors, dtype=np.uint8)[label.cpu().numpy()[there]]
    return Image.fromarray(picture)


def gray_picture(share: Tensor) -> Image.Image:
    """Give a picture of `(H, W)` in [0, 1], stored as 0..255."""
    return Image.fromarray((255 * share).round().cpu().numpy().astype(np.uint8), mode="L")


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture whole or not at all, in the format that its name says."""
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    with atomic_open(path) as file:
        picture.save(file, kind, **({"quality": 90} if kind == "JPEG" else {}))
