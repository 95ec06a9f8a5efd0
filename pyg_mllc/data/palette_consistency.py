"""Whether the palettes of masks whose numbers count go with each other."""

import logging
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pyg_mllc.data.id_counts import format_ids
from pyg_mllc.data.mask_io import read_palette, read_raw_mask
from pyg_mllc.errors import InputError

log = logging.getLogger(__name__)


def check_palettes(masks: Iterable[Path]) -> None:
    """Raise if a color stands for one number in one mask and for another one in another.

    The numbers of such masks tell nothing, and their colors might. Of equal palettes no pixel is
    read; masks that cannot be read are passed over.

    Args:
        masks: All masks of a data set, or arrays, which have no palette.

    Raises:
        InputError: If so.
    """
    masks = list(masks)
    with ThreadPoolExecutor() as pool:
        palettes = list(pool.map(_palette, masks))
        longest = max(palettes, key=len, default=b"")
        if all(longest.startswith(palette) for palette in palettes):
            return
        used = list(pool.map(_used, masks, palettes))
    first: dict[bytes, tuple[int, Path]] = {}
    for mask, own in zip(masks, used, strict=True):
        shades = Counter(own.values())
        for index, color in own.items():
            if shades[color] > 1:
                continue
            other, before = first.setdefault(color, (index, mask))
            if other != index:
                raise InputError(
                    f"{before} shows the id {other} in the color {tuple(color)}, and {mask} the id "
                    f"{index}, so that ids do not say which class is meant: give the colors in a "
                    "table of the classes, lines name,r,g,b, or save masks without a palette."
                )
    colors = {index: {own[index] for own in used if index in own} for index in set().union(*used)}
    if odd := [index for index, shown in colors.items() if len(shown) > 1]:
        log.warning(
            "the palettes of the masks show the ids %s in several colors: the ids count",
            format_ids(odd),
        )


def _palette(mask: Path) -> bytes:
    """Palette of a mask, empty without one."""
    try:
        palette = read_palette(mask)
    except InputError:  # whoever reads the mask says what is wrong
        return b""
    return b"" if palette is None else palette.tobytes()


def _used(mask: Path, palette: bytes) -> dict[int, bytes]:
    """The colors that a mask uses, by number."""
    try:
        used = np.unique(read_raw_mask(mask)).tolist()
    except InputError:
        return {}
    return {i: palette[3 * i : 3 * i + 3] for i in used if 3 * i + 3 <= len(palette)}
