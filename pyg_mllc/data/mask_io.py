"""Read masks: the classes, ids, colors or palette that a mask file stores."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pyg_mllc.data.image_file import open_image, upright
from pyg_mllc.data.image_header import ORIENTATION, check_mask_header
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError, listed
from pyg_mllc.typing import IGNORE

_ID_MODES = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16L", "I;16B", "I;16N")


def read_mask(path: Path, spec: DatasetSpec, orientation: int | None = None) -> np.ndarray:
    """Read the classes of a mask file.

    Ids in masks with one channel are looked up in `DatasetSpec.ids`, colors in
    `DatasetSpec.palette`. A mask with a palette has both. Its ids count unless a color contradicts
    them and the spec knows all colors in use: the palette then is the owner's table of classes in
    another order.

    Args:
        path: Mask file.
        spec: Meaning of ids and colors.
        orientation: EXIF orientation to use; None for the file's own.

    Returns:
        Classes, int32 (H, W); `IGNORE` where void.

    Raises:
        InputError: If the file is no image, the spec does not know a value in it, ids and palette
            contradict each other, or as `check_mask_header`.
    """
    values, palette = _stored_mask(path, orientation)
    if values.ndim == 3:
        return _classes_of_colors(values, path, spec)
    if palette is not None and _classes_are_colors(values, palette, path, spec):
        return _classes_of_colors(palette[values], path, spec)
    return classes_of_ids(values, path, spec)


def _classes_are_colors(
    ids: np.ndarray, palette: np.ndarray, path: Path, spec: DatasetSpec
) -> bool:
    """Return whether the colors (n, 3) of a palette, not the ids (H, W), name the classes.

    Raises:
        InputError: If ids and colors disagree, and the spec does not know all colors.
    """
    used = set(np.flatnonzero(np.bincount(ids.ravel())).tolist())
    color_of = dict(enumerate(map(tuple, palette.tolist())))
    class_of_id, class_of_color = spec.ids, spec.palette
    # Classes that the mask lacks tell whose palette it is; black ones may only fill it up.
    colored = {i for i in class_of_id if any(color_of.get(i, ()))}
    checked = sorted(used | colored if used <= class_of_id.keys() else used)
    by_color = {
        i: class_of_color[color_of[i]] for i in checked if color_of.get(i) in class_of_color
    }
    wrong = [i for i, c in by_color.items() if i in used and class_of_id.get(i, c) != c]
    unknown = [i for i in checked if i not in by_color]
    if wrong and unknown:
        raise InputError(
            f"{path} shows the id {wrong[0]} in the color {color_of[wrong[0]]}, which is that of "
            f"another class, and the id {unknown[0]} in {color_of.get(unknown[0], 'none')}, which "
            "is that of no class: give the palette the colors of the table of the classes, or save "
            "the mask without a palette."
        )
    return not unknown and (bool(wrong) or not used <= class_of_id.keys())


def read_raw_mask(path: Path, orientation: int | None = None) -> np.ndarray:
    """Read the ids or colors that a mask file stores.

    Args:
        path: Mask file.
        orientation: EXIF orientation to use; None for the file's own.

    Returns:
        Ids, int32 (H, W), or colors, uint8 (H, W, 3).

    Raises:
        InputError: If the file is no image or has a mode that no mask has, or as
            `check_mask_header`.
    """
    return _stored_mask(path, orientation)[0]


def read_palette(path: Path) -> np.ndarray | None:
    """Read the palette of a mask file without decoding its pixels.

    Args:
        path: Mask file.

    Returns:
        Colors, uint8 (n, 3); None without a palette, or if it shows each id as its gray value.

    Raises:
        InputError: If the file is no image, or as `check_mask_header`.
    """
    with open_image(path, check_mask_header) as (picture, _, _):
        return _palette(picture)


def _palette(picture: Image.Image) -> np.ndarray | None:
    """Return the palette (n, 3); None if there is none, or if it shows ids as their gray values."""
    if picture.mode not in ("P", "PA"):
        return None
    colors = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    return None if (colors == np.arange(len(colors))[:, None]).all() else colors


def _stored_mask(path: Path, orientation: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return ids (H, W) or colors (H, W, 3), and the palette of ids that have one."""
    with open_image(path, check_mask_header) as (stored, header, _):
        if orientation is not None:
            stored.getexif()[ORIENTATION] = orientation
        picture = upright(stored)
    if picture.mode in ("LA", "PA", "RGBA"):
        alpha = np.asarray(picture.getchannel("A"))
        if np.ptp(alpha) or not alpha.any():
            raise InputError(
                f"{path} has transparent pixels, and nothing says whether these are void: save the "
                "mask without transparency."
            )
    if picture.mode in ("RGB", "RGBA", "RGBX"):
        return np.asarray(picture)[..., :3], None
    if picture.mode not in _ID_MODES:
        raise InputError(
            f"{path} is a mask in the wrong mode (Pillow mode {picture.mode}): save it as PNG, "
            "with one channel of class ids or with colors."
        )
    ids = np.asarray(picture.getchannel(0) if picture.mode.endswith("A") else picture)
    if header.numbers == "signed" and header.bits == 8:
        ids = ids.astype(np.uint8).view(np.int8)
    largest, decoded = header.stretched
    if largest != decoded and picture.mode not in ("1", "P", "PA"):
        ids = np.rint(ids * (largest / decoded))
    return ids.astype(np.int32), _palette(picture)


def classes_of_ids(ids: np.ndarray, path: Path, spec: DatasetSpec) -> np.ndarray:
    """Look up the classes of ids.

    Args:
        ids: Stored ids, of any shape.
        path: Their file, for messages.
        spec: Meaning of ids.

    Returns:
        Classes, int32 of the same shape; `IGNORE` where void.

    Raises:
        InputError: If the spec does not know an id.
    """
    classes = _look_up(ids, spec.ids)
    unknown = np.unique(ids[classes < 0])
    if len(unknown):
        raise InputError(
            f"{path} holds the ids {listed(unknown)}, but {_describe_ids(spec)}: convert the "
            "mask or correct the table of the classes."
        )
    return classes


def _classes_of_colors(pixels: np.ndarray, path: Path, spec: DatasetSpec) -> np.ndarray:
    classes = _look_up(pack_colors(pixels), {_pack(*color): c for color, c in spec.palette.items()})
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
    """Return the class of each code, -1 where the table has none."""
    if not table:
        return np.full(codes.shape, -1, dtype=np.int32)
    keys = np.array(sorted(table), dtype=np.int64)
    labels = np.array([table[key] for key in keys.tolist()], dtype=np.int32)
    position = np.searchsorted(keys, codes).clip(max=len(keys) - 1)
    return np.where(keys[position] == codes, labels[position], np.int32(-1))


def pack_colors(pixels: np.ndarray) -> np.ndarray:
    """Pack colors (..., 3) into one number each, int32 (...)."""
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    return _pack(red, green, blue)


def _pack(red: Any, green: Any, blue: Any) -> Any:
    return (red << 16) + (green << 8) + blue


def _describe_ids(spec: DatasetSpec) -> str:
    own = [code for code, label in spec.ids.items() if label != IGNORE]
    if own == list(range(spec.num_classes)):
        classes = f"are 0 to {spec.num_classes - 1}"
    else:
        classes = f"have the ids {listed(own)}"
    void = [code for code in spec.void if isinstance(code, int)]
    return f"the classes of {spec.name} {classes} and its void ids {void}"
