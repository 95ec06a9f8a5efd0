"""Problems of the labels of a data set: missing classes, much void, mere outlines."""

from dataclasses import dataclass

import numpy as np

from pyg_mllc.data.catalog import SPECS
from pyg_mllc.data.id_counts import table_lines
from pyg_mllc.data.interpolation_artifacts import MEND, find_interpolated, inner_pixels
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import listed
from pyg_mllc.typing import IGNORE

MUCH = 0.5  # share of void that nobody has named, above which it is doubted
HARDLY = 10  # pixels of a class that may be a slip of the brush


def count_labels(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels of each class in a mask, and those of them inside of regions.

    Args:
        labels: Classes, `IGNORE` where void, (H, W).
        num_classes: C.

    Returns:
        Int (2, C + 1): all pixels, then those whose eight neighbors have their label; void last.

    Example:
        >>> count_labels(np.array([[0, 0, 255], [0, 0, 1], [0, 0, 1]]), 2).tolist()
        [[6, 2, 1], [0, 0, 0]]
    """
    labels = np.where(labels == IGNORE, num_classes, labels).astype(np.uint8)  # C is at most 255
    parts = labels, labels[1:-1, 1:-1][inner_pixels(labels)]
    return np.stack([np.bincount(part.ravel(), minlength=num_classes + 1) for part in parts])


@dataclass(frozen=True)
class LabelStatistics:
    """The labels of one part of a data set.

    Args:
        spec: The classes.
        counts: What `count_labels` gives for each mask that was read, (n, 2, C + 1).
        what: What these masks are, such as "the labeled masks (4)".
        whole: Whether these are all masks of the part.
    """

    spec: DatasetSpec
    counts: np.ndarray
    what: str
    whole: bool = True

    @property
    def pixels(self) -> np.ndarray:
        """Pixels of each class, void last, (C + 1,)."""
        return self.counts[:, 0].sum(0)

    @property
    def shown(self) -> set[int]:
        """Classes that have a pixel."""
        return set(np.flatnonzero(self.pixels[:-1]).tolist())

    def named(self, classes: set[int]) -> str:
        """Names of classes, quoted."""
        return listed(repr(self.spec.classes[label]) for label in sorted(classes))

    def single(self) -> str:
        """Return what is wrong if fewer than two classes have a pixel, else an empty string."""
        if len(self.counts) == 0 or len(self.shown) > 1:
            return ""
        void = self.pixels[-1] / max(1, self.pixels.sum())
        told = f"{self.what} show {self.named(self.shown) or 'no class'} alone"
        told += f" and void in {void:.0%} of their pixels" if void else ""
        if void and self.spec.assumes_void:
            meant = table_lines([0, IGNORE], self.spec.classes)
            return f"{told} (255): if 255 is a class, give it a line in the table, as in {meant}."
        return f"{told}, and at least two are needed: check what their ids or colors mean."

    def much_void(self) -> str:
        """Return what is wrong if 255 is most of the pixels and nobody calls it void."""
        share = self.pixels[-1] / max(1, self.pixels.sum())
        if not self.spec.assumes_void or share <= MUCH:
            return ""
        return (
            f"255 counts as void, and is {share:.0%} of the pixels of {self.what}: write the line "
            "'255,void' into the table of the classes if that is meant, else the name of a class "
            "in its place."
        )

    def outlines(self) -> str:
        """Return what is wrong if most classes lie only along outlines."""
        thin = find_interpolated(self.pixels, self.counts[:, 1].sum(0))
        if not len(thin):
            return ""
        return (
            f"{self.named(set(thin.tolist()) - {self.spec.num_classes})} lie only along outlines "
            f"in {self.what}: {MEND}"
        )

    def absent(self) -> str:
        """Name the classes that have no pixel, if several others have."""
        absent = set(range(self.spec.num_classes)) - self.shown
        told = f"{self.what} have no pixel of {self.named(absent)}"
        return told if absent and len(self.shown) > 1 else ""

    def hardly(self) -> list[str]:
        """Name classes of so few pixels that they may be slips of the brush."""
        few = [label for label in self.shown if self.pixels[label] < HARDLY]
        return [
            f"{self.spec.classes[label]!r} has only {self.pixels[label]} of the pixels of "
            f"{self.what}: is it a slip of the brush?"
            for label in few
        ]


def find_label_problems(
    labeled: LabelStatistics, val: LabelStatistics
) -> tuple[dict[str, list[str]], list[str]]:
    """Tell what would make training or its figures meaningless, and what is only worth knowing.

    A published data set has its classes by definition, so that classes without pixels are worth
    knowing there; in anybody's own folder they are a problem.

    Args:
        labeled: What is learned.
        val: What is measured on.

    Returns:
        Sentences by kind of problem, and notes.
    """
    found = {
        "labels of a single class": [labeled.single(), val.single()],
        "void that nobody has named": [labeled.much_void() or val.much_void()],
        "labels that lie only along outlines": [labeled.outlines() or val.outlines()],
    }
    notes = [*labeled.hardly(), _unmeasured(labeled, val)]
    absent = labeled.absent()
    if absent:
        there = val.shown - labeled.shown
        also = f", while {val.what} have {labeled.named(there)}" if there else ""
        ids = "" if 0 in labeled.shown else " (give it lines of id,name if ids do not start at 0)"
        absent += (
            f"{also}: check the table of the classes{ids}, or take more labels, another data.seed "
            "or data.balanced=true."
        )
    if labeled.spec.name in SPECS:
        notes.append(absent)
    else:
        found["classes without labeled pixels"] = [absent]
    told = {kind: [one for one in sentences if one] for kind, sentences in found.items()}
    return {kind: some for kind, some in told.items() if some}, [note for note in notes if note]


def _unmeasured(labeled: LabelStatistics, val: LabelStatistics) -> str:
    """Name the classes that are learned and not measured."""
    absent = labeled.shown - val.shown
    if not len(val.counts) or not val.whole or not absent:
        return ""
    return f"{val.what} have no pixel of {val.named(absent)}, whose IoU cannot be measured."
