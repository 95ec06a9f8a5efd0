"""Where labels are likely wrong: regions and images, the likeliest first."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import find_objects
from skimage.measure import label as connected

from pyg_mllc.inference.mask_corrector import MaskCorrection
from pyg_mllc.typing import IGNORE

SMALL = 5e-4  # share of an image that a region needs before its score counts by half
MOST = 50  # regions kept of an image


class Region(NamedTuple):
    """Pixels side by side of one label that is more likely wrong than right."""

    score: float  # mean doubt in 0..1, less for small regions
    given: int
    suggested: int  # for most of its pixels
    pixels: int
    top: int
    left: int
    bottom: int
    right: int


class ImageIssues(NamedTuple):
    """Likely wrong labels of one image."""

    score: float  # sum of the doubts above a half, over the pixels that are not void
    share: float  # of the image, void aside, that is more likely wrong than right
    pixels: int  # that are
    pairs: list[tuple[int, int, int]]  # given, suggested, pixels; the most pixels first
    regions: list[Region]  # the highest score first


def find_issues(correction: MaskCorrection) -> ImageIssues:
    r"""Rank the regions whose label is more likely wrong than right.

    .. math::
        s_{region} = \frac{\sum_{i} d_i}{n + n_0}, \qquad
        s_{image} = \frac{\sum_{d_i > 1/2} d_i}{n_{known}}

    with d the doubt of the n pixels of a region, and :math:`n_0` a 2000th of the image.
    """
    given, doubt, suggested = (
        part.cpu().numpy() for part in (correction.given, correction.doubt, correction.suggested)
    )
    doubtful = doubt > 0.5
    numbered = connected(np.where(doubtful, given + 1, 0), background=0, connectivity=2)
    regions = []
    for number, box in enumerate(find_objects(numbered), start=1):
        inside = numbered[box] == number
        count = int(inside.sum())
        score = float(doubt[box][inside].sum() / (count + SMALL * given.size))
        pair = int(given[box][inside][0]), int(np.bincount(suggested[box][inside]).argmax())
        rows, columns = box
        regions.append(
            Region(score, *pair, count, rows.start, columns.start, rows.stop, columns.stop)
        )
    regions.sort(reverse=True)
    codes, counts = np.unique(256 * given[doubtful] + suggested[doubtful], return_counts=True)
    counted = sorted(zip(counts.tolist(), codes.tolist(), strict=True), reverse=True)
    pairs = [(code // 256, code % 256, count) for count, code in counted]
    known = max(int((given != IGNORE).sum()), 1)
    score = float(doubt[doubtful].sum() / known)
    count = int(doubtful.sum())
    return ImageIssues(score, count / known, count, pairs, regions[:MOST])


COLUMNS = (
    "rank", "kind", "name", "score", "given", "suggested", "pixels", "top", "left", "bottom",
    "right",
)  # fmt: skip


def issue_rows(
    found: Iterable[tuple[str, ImageIssues]], classes: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `issues.csv` under `COLUMNS`: images, then regions, the worst first.

    Args:
        found: names of images, and what was found in them.
        classes: names of the C classes.
    """
    images: list[tuple[Any, ...]] = []
    regions: list[tuple[Any, ...]] = []
    for name, issues in found:
        pair = ("", "")
        if issues.pairs:
            pair = classes[issues.pairs[0][0]], classes[issues.pairs[0][1]]
        images.append((issues.score, name, *pair, issues.pixels, "", "", "", ""))
        for score, given, suggested, *place in issues.regions:
            regions.append((score, name, classes[given], classes[suggested], *place))
    for kind, rows in (("image", images), ("region", regions)):
        rows.sort(key=lambda row: (-row[0], row[1]))
        for rank, (score, name, *rest) in enumerate(rows, start=1):
            yield rank, kind, name, f"{score:.4f}", *rest


def confused_pairs(
    found: Iterable[tuple[str, ImageIssues]],
) -> list[tuple[int, int, int, int]]:
    """Sum up the confused pairs of all images: given, suggested, pixels, images."""
    total: dict[tuple[int, int], list[int]] = {}
    for _, issues in found:
        for given, suggested, pixels in issues.pairs:
            entry = total.setdefault((given, suggested), [0, 0])
            entry[0] += pixels
            entry[1] += 1
    rows = [(*pair, pixels, images) for pair, (pixels, images) in total.items()]
    return sorted(rows, key=lambda row: -row[2])
