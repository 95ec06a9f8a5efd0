"""The ids that masks store, and whether these can be classes."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pyg_mllc.data.interpolation_artifacts import MEND, find_interpolated, inner_pixels
from pyg_mllc.errors import InputError, listed
from pyg_mllc.typing import IGNORE

SHOWN = 8  # ids that a sentence lists


class MaskIdCounts(NamedTuple):
    """Pixels of each id in one mask, and those of them inside of regions."""

    pixels: dict[int, int]
    inner: dict[int, int]


def count_ids(ids: np.ndarray) -> MaskIdCounts:
    """Count the pixels of each id in a mask (H, W)."""
    inside = ids[1:-1, 1:-1][inner_pixels(ids)]
    found = (np.unique(values, return_counts=True) for values in (ids, inside))
    return MaskIdCounts(*(dict(zip(v.tolist(), n.tolist(), strict=True)) for v, n in found))


class IdCounts:
    """Pixels and masks of each id, counted over masks with one channel."""

    def __init__(self) -> None:
        self.pixels: Counter[int] = Counter()
        self.inner: Counter[int] = Counter()
        self.masks: Counter[int] = Counter()
        self.example: dict[int, Path] = {}

    def add(self, path: Path, mask: MaskIdCounts) -> None:
        """Add what was counted in a mask."""
        self.pixels.update(mask.pixels)
        self.inner.update(mask.inner)
        self.masks.update(mask.pixels.keys())
        self.example = dict.fromkeys(mask.pixels, path) | self.example

    def num_classes(self, void: Collection[int], mend: str) -> int:
        """Return how many classes 0, 1, 2, ... the ids are; a few of them may not appear.

        Args:
            void: Ids that mean void.
            mend: How to name the classes, such as "write a table".

        Raises:
            InputError: If ids are no such numbers, are a single class or none, lie only along
                outlines, or leave many numbers out.
        """
        ids = sorted(set(self.pixels) - set(void))
        odd = [i for i in ids if not 0 <= i < IGNORE]
        if odd:
            raise InputError(
                f"The masks hold the ids {format_ids(ids)}, and {odd[-1]}, as in "
                f"{self.example[odd[-1]]}, is none of 0 to {IGNORE - 1}: take the file out if it "
                f"is no mask, else {mend}, lines of id,name."
            )
        if ids in ([], [0]):
            more = sorted(set(self.pixels) - {0})
            told = " and ".join(["0"] * len(ids) + [f"{listed(more)} for void"] * bool(more))
            meant = table_lines([0, more[0] if more else 1], ["background", "object"])
            raise InputError(
                f"The masks hold only {told}, and at least two classes are needed: {mend}, "
                f"lines of id,name, such as {meant}."
            )
        blurred = self.describe_interpolation()
        if blurred:
            raise InputError(blurred)
        if 2 * len(ids) < ids[-1] + 1 or (len(ids) > 2 and math.gcd(*ids) > 1):
            raise InputError(
                f"The masks hold the ids {format_ids(ids)}, which leave out many numbers"
                f"{self._rare(ids)}: {mend}, lines of id,name, such as {table_lines(ids)}; an id that "
                "means no class gets the name void."
            )
        return ids[-1] + 1

    def describe_interpolation(self) -> str:
        """Return what is wrong if most values lie only along outlines, else an empty string."""
        ids = sorted(self.pixels)
        pixels, inner = (np.array([n[i] for i in ids]) for n in (self.pixels, self.inner))
        thin = [ids[place] for place in find_interpolated(pixels, inner).tolist()]
        if not thin:
            return ""
        return (
            f"The masks hold {len(ids)} values, of which {len(thin)} lie only along outlines, as "
            f"in {self.example[thin[0]]}: {MEND}"
        )

    def _rare(self, ids: Sequence[int]) -> str:
        """Name the ids that one mask of several holds: they may be slips of the brush."""
        rare = [i for i in ids if self.masks[i] == 1] if max(self.masks.values()) > 2 else []
        told = [f"{i} is in {self.example[i]} alone, {self.pixels[i]} pixels" for i in rare[:2]]
        return f" ({'; '.join(told)})" if told else ""


def format_ids(ids: Iterable[int]) -> str:
    """Return ids in brackets, the smallest first."""
    return f"[{listed(sorted(ids))}]"


def table_lines(ids: Sequence[int], names: Sequence[str] = ()) -> str:
    """Return lines of a table that give ids their names, quoted.

    Example:
        >>> table_lines([0, 255], ["background", "object"])
        "'0,background' and '255,object'"
    """
    named = names or [f"class {i}" for i in ids]
    quoted = [f"'{i},{name}'" for i, name in list(zip(ids, named, strict=False))[:SHOWN]]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if quoted[1:] else quoted[0]


def describe_unknown_ids(stored: IdCounts, known: dict[int, int], names: Sequence[str]) -> str:
    """Return what masks hold that the classes do not name, and the mend; empty if nothing.

    Args:
        stored: Ids of some masks.
        known: Class, or `IGNORE` for void, of each id that is named.
        names: Names of the classes.
    """
    ids = sorted(stored.pixels)
    strange = [i for i in ids if i not in known]
    if not strange:
        return ""
    if blurred := stored.describe_interpolation():
        return blurred
    told = (
        f"The masks hold the ids {format_ids(ids)}, and nothing names {format_ids(strange)}, as in "
        f"{stored.example[strange[0]]}, {stored.pixels[strange[0]]} pixels"
    )
    for some in (ids, [i for i in ids if i != IGNORE]):
        if len(some) == len(names):
            meant = table_lines(some, names)
            return f"{told}: if they are the classes in order, write {meant} into the table."
    return (
        f"{told}: correct the masks, or write what they mean, lines such as {table_lines(strange)}."
    )
