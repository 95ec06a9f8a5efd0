"""What counts in masks with a palette: their numbers, or the colors that these are shown in."""

import numpy as np

from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError


def by_color(ids: np.ndarray, palette: np.ndarray, name: object, spec: DatasetSpec) -> bool:
    """Return whether the colors of a palette say what the numbers in a mask mean.

    Numbers count as long as no color contradicts them. Where colors do, they count if the spec
    knows all of those that the mask uses: the palette then is the owner's table in another order.

    Args:
        ids: Stored numbers, (H, W).
        palette: Their colors, (n, 3).
        name: What the mask is called in messages.
        spec: What numbers and colors mean.

    Raises:
        InputError: If numbers and colors disagree, and the spec does not know all colors.
    """
    used = set(np.flatnonzero(np.bincount(ids.ravel())).tolist())
    shown = dict(enumerate(map(tuple, palette.tolist())))
    numbers, colors = spec.ids, spec.palette
    # Classes that the mask lacks tell whose palette it is; black ones may only fill it up.
    more = {i for i in numbers if any(shown.get(i, ()))}
    told = used | more if used <= numbers.keys() else used
    named = {i: colors[shown[i]] for i in sorted(told) if shown.get(i) in colors}
    wrong = [i for i, label in named.items() if i in used and numbers.get(i, label) != label]
    strange = sorted(told - named.keys())
    if wrong and strange:
        raise InputError(
            f"{name} shows the id {wrong[0]} in the color {shown[wrong[0]]}, which is that of "
            f"another class, and the id {strange[0]} in {shown.get(strange[0], 'none')}, which is "
            "that of no class: give the palette the colors of the table of the classes, or save "
            "the mask without a palette."
        )
    return not strange and (bool(wrong) or not used <= numbers.keys())
