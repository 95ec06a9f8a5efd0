"""Statistics of the labels of a data set, and the problems that they show."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pyg_mllc.data.base import SampleSet
from pyg_mllc.data.builtin_specs import SPECS
from pyg_mllc.data.id_counts import table_lines
from pyg_mllc.data.interpolation_artifacts import ADVICE, find_interpolated, inner_pixels
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import listed
from pyg_mllc.typing import IGNORE

MAX_VOID_SHARE = 0.5  # share of assumed void above which it is doubted
MIN_PIXELS = 10  # pixels of a class below which it may be a slip of the brush


def count_labels(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels of each class in a mask.

    Args:
        labels: Classes, `IGNORE` where void, (H, W).
        num_classes: Number of classes C.

    Returns:
        Int (2, C + 1), void last: all pixels, and those whose eight neighbors have their label.

    Example:
        >>> count_labels(np.array([[0, 0, 255], [0, 0, 1], [0, 0, 1]]), 2).tolist()
        [[6, 2, 1], [0, 0, 0]]
    """
    labels = np.where(labels == IGNORE, num_classes, labels).astype(np.uint8)  # C is at most 255
    parts = labels, labels[1:-1, 1:-1][inner_pixels(labels)]
    return np.stack([np.bincount(part.ravel(), minlength=num_classes + 1) for part in parts])


def count_class_pixels(samples: SampleSet, num_classes: int) -> np.ndarray:
    """Count the pixels of each class in each labeled sample, at the size that training uses.

    Args:
        samples: Labeled samples.
        num_classes: Number of classes C.

    Returns:
        Int (n, C); void is not counted.

    Raises:
        InputError: If a sample cannot be read.
    """

    def count(index: int) -> np.ndarray:
        label = samples[index]["label"].flatten()
        return np.bincount(label, minlength=IGNORE + 1)[:num_classes]

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        counts = list(pool.map(count, range(len(samples))))
    return np.array(counts, dtype=int).reshape(-1, num_classes)


@dataclass(frozen=True)
class LabelStatistics:
    """Pixel counts of the labels in one part of a data set.

    Its methods describe one problem each, in a sentence that is empty without the problem.

    Args:
        spec: Classes.
        counts: Result of `count_labels` for each mask that was read, (n, 2, C + 1).
        description: Description of these masks in messages, such as "the labeled masks (4)".
        complete: Whether these are all masks of the part.
    """

    spec: DatasetSpec
    counts: np.ndarray
    description: str
    complete: bool = True

    @property
    def pixels(self) -> np.ndarray:
        """Number of pixels of each class, void last, (C + 1,)."""
        return self.counts[:, 0].sum(0)

    @property
    def present(self) -> set[int]:
        """Classes that have a pixel."""
        return set(np.flatnonzero(self.pixels[:-1]).tolist())

    def names(self, classes: set[int]) -> str:
        """Format the names of classes, quoted."""
        return listed(repr(self.spec.classes[label]) for label in sorted(classes))

    def single_class(self) -> str:
        """Return a message if fewer than two classes have a pixel."""
        if len(self.counts) == 0 or len(self.present) > 1:
            return ""
        void = self.pixels[-1] / max(1, self.pixels.sum())
        told = f"{self.description} show {self.names(self.present) or 'no class'} alone"
        told += f" and void in {void:.0%} of their pixels" if void else ""
        if void and self.spec.assumes_void:
            lines = table_lines([0, IGNORE], self.spec.classes)
            return f"{told} (255): if 255 is a class, give it a line in the table, as in {lines}."
        return f"{told}, and at least two are needed: check what their ids or colors mean."

    def much_void(self) -> str:
        """Return a message if 255 is most of the pixels and void only by assumption."""
        share = self.pixels[-1] / max(1, self.pixels.sum())
        if not self.spec.assumes_void or share <= MAX_VOID_SHARE:
            return ""
        return (
            f"255 counts as void, and is {share:.0%} of the pixels of {self.description}: write "
            "the line '255,void' into the table of the classes if that is meant, else the name of "
            "a class in its place."
        )

    def interpolated(self) -> str:
        """Return a message if most classes lie only along outlines."""
        thin = find_interpolated(self.pixels, self.counts[:, 1].sum(0))
        if not len(thin):
            return ""
        return (
            f"{self.names(set(thin.tolist()) - {self.spec.num_classes})} lie only along outlines "
            f"in {self.description}: {ADVICE}"
        )

    def absent_classes(self) -> str:
        """Return a message that names the classes without a pixel, if several others have one."""
        absent = set(range(self.spec.num_classes)) - self.present
        told = f"{self.description} have no pixel of {self.names(absent)}"
        return told if absent and len(self.present) > 1 else ""

    def rare_classes(self) -> list[str]:
        """Return a message for each class of so few pixels that they may be slips of the brush."""
        rare = [label for label in self.present if self.pixels[label] < MIN_PIXELS]
        return [
            f"{self.spec.classes[label]!r} has only {self.pixels[label]} of the pixels of "
            f"{self.description}: is it a slip of the brush?"
            for label in rare
        ]


def find_label_problems(
    labeled: LabelStatistics, val: LabelStatistics
) -> tuple[dict[str, list[str]], list[str]]:
    """Find what makes training or its figures meaningless, and what is worth a note.

    The classes of a published data set are certain, so classes without pixels are notes there. In
    the user's own folder they are problems.

    Args:
        labeled: Statistics of the labeled masks.
        val: Statistics of the validation masks.

    Returns:
        Messages by kind of problem, and notes.
    """
    problems = {
        "labels of a single class": [labeled.single_class(), val.single_class()],
        "void that nobody has named": [labeled.much_void() or val.much_void()],
        "labels that lie only along outlines": [labeled.interpolated() or val.interpolated()],
    }
    notes = [*labeled.rare_classes(), _unmeasured(labeled, val)]
    absent = labeled.absent_classes()
    if absent:
        measured = val.present - labeled.present
        also = f", while {val.description} have {labeled.names(measured)}" if measured else ""
        ids = "" if 0 in labeled.present else " (give it lines of id,name if ids do not start at 0)"
        absent += (
            f"{also}: check the table of the classes{ids}, or take more labels, another data.seed "
            "or data.balanced=true."
        )
    if labeled.spec.name in SPECS:
        notes.append(absent)
    else:
        problems["classes without labeled pixels"] = [absent]
    problems = {kind: [m for m in messages if m] for kind, messages in problems.items()}
    return (
        {kind: messages for kind, messages in problems.items() if messages},
        [note for note in notes if note],
    )


def _unmeasured(labeled: LabelStatistics, val: LabelStatistics) -> str:
    """Return a message that names the classes that are learned and not measured."""
    absent = labeled.present - val.present
    if not len(val.counts) or not val.complete or not absent:
        return ""
    return f"{val.description} have no pixel of {val.names(absent)}, whose IoU cannot be measured."
