"""Check every sample of a data set for problems that would hurt training."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

import numpy as np

from pyg_mllc.data.base import SampleSet
from pyg_mllc.data.dataset import SegmentationDataset
from pyg_mllc.data.image_file import read_image_size
from pyg_mllc.data.image_io import fitted_size, read_image
from pyg_mllc.data.label_statistics import LabelStatistics, count_labels, find_label_problems
from pyg_mllc.data.label_warnings import describe_unknown_values
from pyg_mllc.data.mask_io import read_mask, read_raw_mask
from pyg_mllc.data.splits import Splits
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE

PARTS = ("labeled", "unlabeled", "val")
UNKNOWN = "masks with ids or colors that mean nothing"
MIN_SIDE = 8  # an image that is scaled to fewer pixels a side shows nothing


@dataclass(frozen=True)
class SampleReport:
    """Result of reading one sample.

    Args:
        part: Part of the splits: ``labeled``, ``unlabeled`` or ``val``.
        name: Image file, or the sample's name.
        size: Height and width of the file; None without a readable file.
        pixels: Number of pixels of each class, (C,); None without a label.
        labels: Counts of its mask at the file's size, see `count_labels`; None without a mask.
        digest: Hash of the image as training receives it.
        kind: Kind of problem; empty if there is none.
        problem: The problem, in a sentence.
    """

    part: str
    name: str
    size: tuple[int, int] | None = None
    pixels: np.ndarray | None = None
    labels: np.ndarray | None = None
    digest: bytes = b""
    kind: str = ""
    problem: str = ""


def inspect_samples(splits: Splits) -> Iterator[SampleReport]:
    """Read every sample once, on all cores.

    Args:
        splits: Splits to read.

    Yields:
        Reports in the order of the samples.
    """
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        for part in PARTS:
            samples: SampleSet = getattr(splits, part)
            yield from pool.map(partial(_read, part, samples), range(len(samples)))


def _read(part: str, samples: SampleSet, index: int) -> SampleReport:
    path = samples.images[index] if isinstance(samples, SegmentationDataset) else None
    try:
        sample = samples[index]
    except InputError as error:
        return SampleReport(part, str(path), kind=_kind(samples, index), problem=str(error))
    pixels = labels = None
    if isinstance(samples, SegmentationDataset) and samples.masks is not None:
        mask = read_mask(samples.masks[index], samples.spec)
        labels = count_labels(mask, samples.spec.num_classes)
    if "label" in sample:
        counts = np.bincount(sample["label"].flatten(), minlength=IGNORE + 1)
        pixels = counts[: samples.spec.num_classes]
    return SampleReport(
        part,
        str(path or sample["name"]),
        read_image_size(path) if path else tuple(sample["image"].shape[1:]),
        pixels,
        labels,
        blake2b(sample["image"].numpy().tobytes(), digest_size=16).digest(),
    )


def _kind(samples: SampleSet, index: int) -> str:
    """Return the kind of problem of a sample that cannot be read."""
    kind = "images that cannot be read"
    if not isinstance(samples, SegmentationDataset):
        return kind
    try:
        image = read_image(samples.images[index])
        kind = "masks that cannot be read"
        if samples.masks is not None:
            mask = read_raw_mask(samples.masks[index], samples.mask_orientation(index))
            if mask.shape[:2] != (image.height, image.width):
                return "masks of another size than their image"
            return UNKNOWN
    except InputError:
        pass
    return kind


def find_sample_problems(
    reports: list[SampleReport], size: tuple[int, int], overlap: bool = False
) -> tuple[dict[str, list[str]], list[str]]:
    """Find the samples that would hurt training, and those that are worth a note.

    Args:
        reports: Reports of all samples.
        size: Height and width (H, W) that training scales to.
        overlap: Whether labeled images may be among the unlabeled ones.

    Returns:
        Messages by kind of problem, and notes.
    """
    problems: dict[str, list[str]] = defaultdict(list)
    notes: list[str] = []
    for report in reports:
        if report.problem:
            problems[report.kind].append(report.problem)
        elif report.pixels is not None and not report.pixels.any():
            message = f"The mask of {report.name} has no class."
            problems["masks that are void all over"].append(message)
        if report.size and min(fitted_size(*report.size, size)) < MIN_SIDE <= min(size):
            height, width = fitted_size(*report.size, size)
            notes.append(
                f"{report.name}, {report.size[0]} x {report.size[1]} pixels (height x width), is "
                f"scaled to {height} x {width}."
            )
    for group in _equal_images(reports):
        parts = {report.part for report in group}
        told = " and ".join(f"{report.name} ({report.part})" for report in group[:3])
        if {"labeled", "val"} <= parts:
            problems["labeled images in the validation set"].append(f"{told} are the same image.")
        elif len(parts - {"labeled"} if overlap else parts) > 1:
            problems["images in two sets"].append(f"{told} are the same image.")
        if len(group) > len(parts):
            notes.append(f"{told}: {len(group)} times the same image.")
    return dict(problems), notes


def find_labeling_problems(
    reports: list[SampleReport], splits: Splits
) -> tuple[dict[str, list[str]], list[str]]:
    """Find problems of the labels as a whole, see `find_label_problems`.

    Args:
        reports: Reports of all samples.
        splits: Splits that the samples belong to.

    Returns:
        Messages by kind of problem, and notes.
    """
    parts = []
    for part, what in (("labeled", "labeled"), ("val", "validation")):
        counts = [r.labels for r in reports if r.part == part and r.labels is not None]
        empty = np.zeros((0, 2, splits.spec.num_classes + 1), dtype=int)
        description = f"the {what} masks ({len(counts)})"
        stacked = np.stack(counts) if counts else empty
        parts.append(LabelStatistics(splits.spec, stacked, description))
    problems, notes = find_label_problems(*parts)
    kinds = [report.kind for report in reports if report.part == "labeled"]
    unknown = [place for place, kind in enumerate(kinds) if kind == UNKNOWN]
    if unknown and isinstance(splits.labeled, SegmentationDataset):
        masks = splits.labeled.masks or []
        message = describe_unknown_values([masks[place] for place in unknown], splits.spec)
        problems |= {"what such masks may mean": [message]} if message else {}
    return problems, notes


def _equal_images(reports: list[SampleReport]) -> list[list[SampleReport]]:
    """Group the samples whose images are equal, pixel by pixel."""
    groups: dict[bytes, list[SampleReport]] = defaultdict(list)
    for report in reports:
        if report.digest:
            groups[report.digest].append(report)
    return [group for group in groups.values() if len(group) > 1]


def common_sizes(reports: list[SampleReport]) -> str:
    """Describe the most common size of files, and the range of sizes.

    Args:
        reports: Reports of samples.

    Returns:
        Description; "-" without files.

    Example:
        >>> sizes = [(360, 480), (360, 480), (360, 480), (90, 100)]
        >>> common_sizes([SampleReport("val", "name", size) for size in sizes])
        '360 x 480 (3 of 4), 90 x 100 to 360 x 480'
    """
    sizes = Counter(report.size for report in reports if report.size)
    if not sizes:
        return "-"
    (height, width), count = sizes.most_common(1)[0]
    if len(sizes) == 1:
        return f"{height} x {width}"
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    least, most = (f"{h} x {w}" for h, w in (ordered[0], ordered[-1]))
    return f"{height} x {width} ({count} of {sizes.total()}), {least} to {most}"
