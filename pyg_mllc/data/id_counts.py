"""Counts of the ids that masks store, and the number of classes that follows from them."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pyg_mllc.data.interpolation_artifacts import ADVICE, find_interpolated, inner_pixels
from pyg_mllc.errors import InputError, listed
from pyg_mllc.typing import IGNORE

MAX_LISTED = 8  # ids that a sentence lists


class MaskIdCounts(NamedTuple):
    """Number of pixels of each id in one mask.

    Args:
        pixels: Number of pixels by id.
        inner: Number of pixels whose eight neighbors have the same id, by id.
    """

    pixels: dict[int, int]
    inner: dict[int, int]


def count_ids(ids: np.ndarray) -> MaskIdCounts:
    """Count the pixels of each id in a mask.

    Args:
        ids: Stored ids, (H, W).

    Returns:
        The counts.
    """
    inside = ids[1:-1, 1:-1][inner_pixels(ids)]
    counts = (np.unique(values, return_counts=True) for values in (ids, inside))
    return MaskIdCounts(*(dict(zip(v.tolist(), n.tolist(), strict=True)) for v, n in counts))


class IdCounts:
    """Number of pixels and masks of each id, over masks with one channel.

    Attributes:
        pixels: Number of pixels by id.
        inner: Number of pixels whose eight neighbors have the same id, by id.
        masks: Number of masks by id.
        example: First mask by id.
    """

    def __init__(self) -> None:
        self.pixels: Counter[int] = Counter()
        self.inner: Counter[int] = Counter()
        self.masks: Counter[int] = Counter()
        self.example: dict[int, Path] = {}

    def add(self, path: Path, mask: MaskIdCounts) -> None:
        """Add the counts of a mask.

        Args:
            path: Path of the mask.
            mask: Its counts.
        """
        self.pixels.update(mask.pixels)
        self.inner.update(mask.inner)
        self.masks.update(mask.pixels.keys())
        self.example = dict.fromkeys(mask.pixels, path) | self.example

    def infer_num_classes(self, void: Collection[int], advice: str) -> int:
        """Return the number of classes 0, 1, 2, ... if the ids number them; some may be absent.

        Args:
            void: Ids that mean void.
            advice: How to name the classes instead, such as "write a table".

        Returns:
            The largest id, plus one.

        Raises:
            InputError: If an id is out of range, there are fewer than two classes, most ids lie
                only along outlines, or many numbers are left out.
        """
        ids = sorted(set(self.pixels) - set(void))
        invalid = [i for i in ids if not 0 <= i < IGNORE]
        if invalid:
            raise InputError(
                f"The masks hold the ids {format_ids(ids)}, and {invalid[-1]}, as in "
                f"{self.example[invalid[-1]]}, is none of 0 to {IGNORE - 1}: take the file out if "
                f"it is no mask, else {advice}, lines of id,name."
            )
        if ids in ([], [0]):
            more = sorted(set(self.pixels) - {0})
            told = " and ".join(["0"] * len(ids) + [f"{listed(more)} for void"] * bool(more))
            meant = table_lines([0, more[0] if more else 1], ["background", "object"])
            raise InputError(
                f"The masks hold only {told}, and at least two classes are needed: {advice}, "
                f"lines of id,name, such as {meant}."
            )
        blurred = self.describe_interpolation()
        if blurred:
            raise InputError(blurred)
        if 2 * len(ids) < ids[-1] + 1 or (len(ids) > 2 and math.gcd(*ids) > 1):
            raise InputError(
                f"The masks hold the ids {format_ids(ids)}, which leave out many numbers"
                f"{self._rare(ids)}: {advice}, lines of id,name, such as {table_lines(ids)}; an id "
                "that means no class gets the name void."
            )
        return ids[-1] + 1

    def describe_interpolation(self) -> str:
        """Return a message if most values lie only along outlines, else an empty string."""
        ids = sorted(self.pixels)
        pixels, inner = (np.array([n[i] for i in ids]) for n in (self.pixels, self.inner))
        thin = [ids[place] for place in find_interpolated(pixels, inner).tolist()]
        if not thin:
            return ""
        return (
            f"The masks hold {len(ids)} values, of which {len(thin)} lie only along outlines, as "
            f"in {self.example[thin[0]]}: {ADVICE}"
        )

    def _rare(self, ids: Sequence[int]) -> str:
        """Describe ids that a single mask of several holds: they may be slips of the brush."""
        rare = [i for i in ids if self.masks[i] == 1] if max(self.masks.values()) > 2 else []
        told = [f"{i} is in {self.example[i]} alone, {self.pixels[i]} pixels" for i in rare[:2]]
        return f" ({'; '.join(told)})" if told else ""


def format_ids(ids: Iterable[int]) -> str:
    """Format ids in brackets, in ascending order."""
    return f"[{listed(sorted(ids))}]"


def table_lines(ids: Sequence[int], names: Sequence[str] = ()) -> str:
    """Format the lines of a table of classes that give ids their names, quoted.

    Args:
        ids: Ids.
        names: Names of the ids; by default ``class <id>``.

    Returns:
        The first lines, joined by commas and "and".

    Example:
        >>> table_lines([0, 255], ["background", "object"])
        "'0,background' and '255,object'"
    """
    named = names or [f"class {i}" for i in ids]
    quoted = [f"'{i},{name}'" for i, name in list(zip(ids, named, strict=False))[:MAX_LISTED]]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if quoted[1:] else quoted[0]


def describe_unknown_ids(stored: IdCounts, known: dict[int, int], names: Sequence[str]) -> str:
    """Describe the ids in masks that no class has, with advice.

    Args:
        stored: Ids of some masks.
        known: Class, or `IGNORE` for void, of each known id.
        names: Names of the classes.

    Returns:
        A message; empty if all ids are known.
    """
    ids = sorted(stored.pixels)
    unknown = [i for i in ids if i not in known]
    if not unknown:
        return ""
    if blurred := stored.describe_interpolation():
        return blurred
    told = (
        f"The masks hold the ids {format_ids(ids)}, and nothing names {format_ids(unknown)}, as in "
        f"{stored.example[unknown[0]]}, {stored.pixels[unknown[0]]} pixels"
    )
    classes = [i for i in ids if i != IGNORE]
    if len(classes) > 1 and classes[-1] < len(names):  # the classes' numbers, not all of them here
        orders = [list(range(len(names)))]
    else:
        orders = [ids, classes]
    for order in orders:
        if len(order) == len(names):
            lines = table_lines(order, names)
            return f"{told}: if they are the classes in order, write {lines} into the table."
    lines = table_lines(unknown)
    return (
        f"{told}: correct the masks, or write what they mean, lines such as {lines}, or "
        f"'{unknown[0]},void' if it means no class."
    )
