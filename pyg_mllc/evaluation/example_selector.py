"""Selection of the examples of a split that a report shows, in bounded memory."""

import math
from collections.abc import Callable
from heapq import nsmallest

from pyg_mllc.evaluation.results import Example, ImageFigures

LONGEST = 480  # pixels of a picture's longer side

# Reasons to select an image, and the figure that ranks images: the lowest come first.
REASONS: dict[str, Callable[[ImageFigures], float]] = {
    "least right": lambda figures: figures.accuracy[-1],
    "most broken": lambda figures: figures.fixed - figures.broken,
    "most fixed": lambda figures: figures.broken - figures.fixed,
}


class ExampleSelector:
    """Selects images with the fewest right, most broken and most fixed pixels, and a spread of all.

    Args:
        size: Largest number of examples; a split of up to as many images is kept whole.
        total: Number of images in the split.

    Example:
        >>> selector = ExampleSelector(size=8, total=10_000)
        >>> len(selector.examples)
        0
    """

    def __init__(self, size: int, total: int) -> None:
        self.whole, self.each = total <= size, max(1, size // (len(REASONS) + 1))
        step = max(1, math.ceil(total / self.each))
        self.spread = set(range(0, total, step))
        self.kept: dict[int, tuple[ImageFigures, Example]] = {}

    @property
    def examples(self) -> list[tuple[ImageFigures, Example]]:
        """Selected figures and examples, in the order of the split."""
        return [self.kept[number] for number in sorted(self.kept)]

    def add(self, figures: ImageFigures, example: Example) -> None:
        """Add the next image; evict the images that no reason ranks first any more.

        Args:
            figures: Figures of the image.
            example: The image and its labels.
        """
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
