"""Image files of labels, probabilities, overlays and changes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pyg_mllc.typing import IGNORE, Color
from pyg_mllc.utils.io import atomic_open

VOID_COLOR = (224, 224, 192)


def palette_picture(
    label: Tensor, colors: Sequence[Color], ids: Sequence[int] | None = None
) -> Image.Image:
    """Build a palette image that stores classes and shows their colors.

    Args:
        label: Classes `(H, W)`, `IGNORE` where void.
        colors: Colors of the C classes.
        ids: Number that stands for each class in the image; by default the class itself.

    Returns:
        Image in mode P.
    """
    stored = list(range(len(colors)) if ids is None else ids)
    number_of = np.full(256, IGNORE, dtype=np.uint8)
    number_of[: len(stored)] = stored
    picture = Image.fromarray(number_of[label.cpu().numpy().astype(np.uint8)], mode="P")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[IGNORE] = VOID_COLOR
    table[stored] = np.array(colors, dtype=np.uint8)  # 255 may be a class where nothing is void
    picture.putpalette(table.tobytes())
    return picture


def overlay_picture(image: Tensor, label: Tensor, colors: Sequence[Color]) -> Image.Image:
    """Blend the colors of a label with its image; void and black classes show the image alone.

    Args:
        image: Image `(3, H, W)` in [0, 1].
        label: Classes `(H, W)`, `IGNORE` where void.
        colors: Colors of the C classes.

    Returns:
        RGB image.
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
    """Draw changed pixels in the color of their new class, and suspected pixels in red.

    Args:
        image: Image `(3, H, W)` in [0, 1].
        label: Classes after the change, `(H, W)`.
        changed: Whether each pixel changed, bool `(H, W)`.
        suspected: Whether each label is suspected, bool `(H, W)`.
        colors: Colors of the C classes.

    Returns:
        RGB image over the faded gray image.
    """
    gray = (155 + 100 * image.mean(0)).round().cpu().numpy().astype(np.uint8)
    picture = np.repeat(gray[..., None], 3, axis=2)
    mask = changed.cpu().numpy()
    picture[suspected.cpu().numpy(), 1:] -= 100  # the faded image is brighter than that
    picture[mask] = np.array(colors, dtype=np.uint8)[label.cpu().numpy()[mask]]
    return Image.fromarray(picture)


def gray_picture(share: Tensor) -> Image.Image:
    """Build a gray image of shares.

    Args:
        share: Values `(H, W)` in [0, 1], stored as 0 to 255.

    Returns:
        Image in mode L.
    """
    return Image.fromarray((255 * share).round().cpu().numpy().astype(np.uint8), mode="L")


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write an image atomically.

    Args:
        path: Path of the file; JPEG if its suffix says so, else PNG.
        picture: Image to write.

    Raises:
        OSError: If the file cannot be written.
    """
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    with atomic_open(path) as file:
        picture.save(file, kind, **({"quality": 90} if kind == "JPEG" else {}))
