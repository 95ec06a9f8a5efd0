"""Check that the palettes of masks agree on the colors of ids."""

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
    """Check that no color stands for different ids in different masks.

    The ids of such masks do not name the classes, but their colors might. Pixels are read only if
    palettes differ. Unreadable masks are skipped.

    Args:
        masks: All masks of a data set; arrays have no palette.

    Raises:
        InputError: If a color stands for two ids.
    """
    masks = list(masks)
    with ThreadPoolExecutor() as pool:
        palettes = list(pool.map(_palette, masks))
        longest = max(palettes, key=len, default=b"")
        if all(longest.startswith(palette) for palette in palettes):
            return
        used = list(pool.map(_used, masks, palettes))
    first: dict[bytes, tuple[int, Path]] = {}
    for mask, colors in zip(masks, used, strict=True):
        ids_per_color = Counter(colors.values())
        for index, color in colors.items():
            if ids_per_color[color] > 1:
                continue
            other, before = first.setdefault(color, (index, mask))
            if other != index:
                raise InputError(
                    f"{before} shows the id {other} in the color {tuple(color)}, and {mask} the id "
                    f"{index}, so that ids do not say which class is meant: give the colors in a "
                    "table of the classes, lines name,r,g,b, or save masks without a palette."
                )
    ids = set().union(*used)
    several = [i for i in ids if len({colors[i] for colors in used if i in colors}) > 1]
    if several:
        log.warning(
            "the palettes of the masks show the ids %s in several colors: the ids count",
            format_ids(several),
        )


def _palette(mask: Path) -> bytes:
    """Return the palette of a mask, empty without one."""
    try:
        palette = read_palette(mask)
    except InputError:  # reading the sample raises it again
        return b""
    return b"" if palette is None else palette.tobytes()


def _used(mask: Path, palette: bytes) -> dict[int, bytes]:
    """Return the colors that a mask uses, by id."""
    try:
        used = np.unique(read_raw_mask(mask)).tolist()
    except InputError:
        return {}
    return {i: palette[3 * i : 3 * i + 3] for i in used if 3 * i + 3 <= len(palette)}
