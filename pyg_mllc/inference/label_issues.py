"""Find and rank likely label errors: regions and images."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import find_objects
from skimage.measure import label as connected

from pyg_mllc.inference.mask_corrector import MaskCorrection
from pyg_mllc.typing import IGNORE

PRIOR_SHARE = 5e-4  # share of an image; the score of a region of that size is halved
MAX_REGIONS = 50  # regions kept of an image


class Region(NamedTuple):
    """Connected pixels of one label that is more likely wrong than right.

    Args:
        score: Mean doubt in [0, 1], lower for small regions.
        given: Class of the label.
        suggested: Class suggested for most of the pixels.
        pixels: Number of pixels.
        top: First row.
        left: First column.
        bottom: Row after the last.
        right: Column after the last.
    """

    score: float
    given: int
    suggested: int
    pixels: int
    top: int
    left: int
    bottom: int
    right: int


class ImageIssues(NamedTuple):
    """Likely label errors of one image.

    Args:
        score: Sum of doubts above 0.5 over the number of pixels without void.
        share: Share of pixels, without void, that are more likely wrong than right.
        pixels: Number of these pixels.
        pairs: Given class, suggested class and number of pixels; most pixels first.
        regions: Regions, highest score first.
    """

    score: float
    share: float
    pixels: int
    pairs: list[tuple[int, int, int]]
    regions: list[Region]


def find_label_issues(correction: MaskCorrection) -> ImageIssues:
    r"""Find the regions whose label is more likely wrong than right.

    .. math::
        s_{region} = \frac{\sum_{i} d_i}{n + n_0}, \qquad
        s_{image} = \frac{\sum_{d_i > 1/2} d_i}{n_{known}}

    with the doubt d of the n pixels of a region, and :math:`n_0` a 2000th of the image.

    Args:
        correction: Result of `MaskCorrector.correct`.

    Returns:
        Issues of the image.
    """
    given, doubt, suggested = (
        part.cpu().numpy() for part in (correction.given, correction.doubt, correction.suggested)
    )
    doubtful = doubt > 0.5
    numbered = connected(np.where(doubtful, given + 1, 0), background=0, connectivity=2)
    regions = []
    for number, box in enumerate(find_objects(numbered), start=1):  # regionprops is 6x slower
        inside = numbered[box] == number
        count = int(inside.sum())
        score = float(doubt[box][inside].sum() / (count + PRIOR_SHARE * given.size))
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
    return ImageIssues(score, count / known, count, pairs, regions[:MAX_REGIONS])


COLUMNS = (
    "rank", "kind", "name", "score", "given", "suggested", "pixels", "top", "left", "bottom",
    "right",
)  # fmt: skip


def issue_rows(
    issues: Iterable[tuple[str, ImageIssues]], classes: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Build the rows of `issues.csv`: images, then regions, highest score first.

    Args:
        issues: Names of images, and their issues.
        classes: Names of the C classes.

    Yields:
        Values of `COLUMNS`.
    """
    images: list[tuple[Any, ...]] = []
    regions: list[tuple[Any, ...]] = []
    for name, image in issues:
        pair = ("", "")
        if image.pairs:
            pair = classes[image.pairs[0][0]], classes[image.pairs[0][1]]
        images.append((image.score, name, *pair, image.pixels, "", "", "", ""))
        for score, given, suggested, *place in image.regions:
            regions.append((score, name, classes[given], classes[suggested], *place))
    for kind, rows in (("image", images), ("region", regions)):
        rows.sort(key=lambda row: (-row[0], row[1]))
        for rank, (score, name, *rest) in enumerate(rows, start=1):
            yield rank, kind, name, f"{score:.4f}", *rest


def common_label_issues(
    issues: Iterable[tuple[str, ImageIssues]],
) -> list[tuple[int, int, int, int]]:
    """Count the confused pairs of classes over images.

    Args:
        issues: Names of images, and their issues.

    Returns:
        Given class, suggested class, number of pixels, number of images; most pixels first.
    """
    total: dict[tuple[int, int], list[int]] = {}
    for _, image in issues:
        for label, suggested, pixels in image.pairs:
            entry = total.setdefault((label, suggested), [0, 0])
            entry[0] += pixels
            entry[1] += 1
    rows = [(*pair, pixels, images) for pair, (pixels, images) in total.items()]
    return sorted(rows, key=lambda row: -row[2])
