"""Which images of a split are worth a look, kept in bounded memory while all stream by."""

import math
from collections.abc import Callable
from heapq import nsmallest

from pyg_mllc.evaluation.results import Example, ImageFigures

LONGEST = 480  # pixels of a picture's longer side

# What images are picked for, and by which of their figures: the lowest come first.
REASONS: dict[str, Callable[[ImageFigures], float]] = {
    "least right": lambda figures: figures.accuracy[-1],
    "most broken": lambda figures: figures.fixed - figures.broken,
    "most fixed": lambda figures: figures.broken - figures.fixed,
}


class Showcase:
    """Keeps the images that are least right, most broken and most fixed, and some of all.

    Args:
        size: pictures kept; a split of up to as many is kept whole.
        total: images of the split, for those that are taken evenly spaced.

    >>> showcase = Showcase(size=8, total=10_000)
    >>> len(showcase.examples)
    0
    """

    def __init__(self, size: int, total: int) -> None:
        self.whole, self.each = total <= size, max(1, size // (len(REASONS) + 1))
        step = max(1, math.ceil(total / self.each))
        self.spread = set(range(0, total, step))
        self.kept: dict[int, tuple[ImageFigures, Example]] = {}

    @property
    def examples(self) -> list[tuple[ImageFigures, Example]]:
        """What is kept, in the order of the split."""
        return [self.kept[number] for number in sorted(self.kept)]

    def add(self, figures: ImageFigures, example: Example) -> None:
        """Show it the next image; it keeps it, or one before has to go, or neither."""
        self.kept[figures.number] = figures, example
        if self.whole:
            self.kept[figures.number] = figures, example.shrunk(LONGEST)
            return
        rated = [f for f, _ in self.kept.values() if f.void < 1]
        wanted = self.spread & set(self.kept)
        for reason in REASONS.values():
            wanted |= {f.number for f in nsmallest(self.each, rated, key=reason)}
        if figures.number in wanted:
            self.kept[figures.number] = figures, example.shrunk(LONGEST)
        self.kept = {number: self.kept[number] for number in wanted}
