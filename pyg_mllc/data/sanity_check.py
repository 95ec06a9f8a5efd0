"""What training would meet in a data set: every sample read once, and what is wrong with it."""

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
STRANGE = "masks with ids or colors that mean nothing"
SLIVER = 8  # an image that is scaled to fewer pixels a side shows nothing


@dataclass(frozen=True)
class SampleReport:
    """What reading one sample has shown.

    Args:
        part: Of the splits.
        name: Image file, or the sample's name.
        size: Height and width of the file, where there is one that can be read.
        pixels: Pixels of each class, (C,), where there is a label.
        labels: Pixels of its mask at the file's size, see `count_labels`.
        digest: Of the image as training gets it.
        kind: What kind of problem there is.
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


def read_all(splits: Splits) -> Iterator[SampleReport]:
    """Read every sample once, with all cores, in order."""
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
    """What kind of problem a sample has that cannot be read."""
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
            return STRANGE
    except InputError:
        pass
    return kind


def problems(
    seen: list[SampleReport], size: tuple[int, int], overlap: bool = False
) -> tuple[dict[str, list[str]], list[str]]:
    """Tell what would hurt training, and what is only worth knowing.

    Args:
        seen: All samples.
        size: Height and width (H, W) that training scales to.
        overlap: Whether labeled images may be among the unlabeled ones.

    Returns:
        Sentences by kind of problem, and notes.
    """
    found: dict[str, list[str]] = defaultdict(list)
    notes: list[str] = []
    for one in seen:
        if one.problem:
            found[one.kind].append(one.problem)
        elif one.pixels is not None and not one.pixels.any():
            found["masks that are void all over"].append(f"The mask of {one.name} has no class.")
        if one.size and min(fitted_size(*one.size, size)) < SLIVER <= min(size):
            height, width = fitted_size(*one.size, size)
            notes.append(
                f"{one.name}, {one.size[0]} x {one.size[1]} pixels (height x width), is scaled to "
                f"{height} x {width}."
            )
    for group in _equal(seen):
        parts = {one.part for one in group}
        told = " and ".join(f"{one.name} ({one.part})" for one in group[:3])
        if {"labeled", "val"} <= parts:
            found["labeled images in the validation set"].append(f"{told} are the same image.")
        elif len(parts - {"labeled"} if overlap else parts) > 1:
            found["images in two sets"].append(f"{told} are the same image.")
        if len(group) > len(parts):
            notes.append(f"{told}: {len(group)} times the same image.")
    return dict(found), notes


def find_problems_of_labels(
    seen: list[SampleReport], splits: Splits
) -> tuple[dict[str, list[str]], list[str]]:
    """Tell what is wrong with the labels as a whole, see `find_label_problems`."""
    parts = []
    for part, what in (("labeled", "labeled"), ("val", "validation")):
        read = [one.labels for one in seen if one.part == part and one.labels is not None]
        empty = np.zeros((0, 2, splits.spec.num_classes + 1), dtype=int)
        told = f"the {what} masks ({len(read)})"
        parts.append(LabelStatistics(splits.spec, np.stack(read) if read else empty, told))
    found, notes = find_label_problems(*parts)
    kinds = [one.kind for one in seen if one.part == "labeled"]
    strange = [place for place, kind in enumerate(kinds) if kind == STRANGE]
    if strange and isinstance(splits.labeled, SegmentationDataset):
        masks = splits.labeled.masks or []
        meant = describe_unknown_values([masks[place] for place in strange], splits.spec)
        found |= {"what such masks may mean": [meant]} if meant else {}
    return found, notes


def _equal(seen: list[SampleReport]) -> list[list[SampleReport]]:
    """Groups of samples whose images are equal, pixel by pixel."""
    groups: dict[bytes, list[SampleReport]] = defaultdict(list)
    for one in seen:
        if one.digest:
            groups[one.digest].append(one)
    return [group for group in groups.values() if len(group) > 1]


def common_sizes(seen: list[SampleReport]) -> str:
    """Describe the sizes of files in a few words.

    Example:
        >>> common_sizes([SampleReport("val", "a", (360, 480))] * 3 + [SampleReport("val", "b", (90, 100))])
        '360 x 480 (3 of 4), 90 x 100 to 360 x 480'
    """
    sizes = Counter(one.size for one in seen if one.size)
    if not sizes:
        return "-"
    (height, width), count = sizes.most_common(1)[0]
    if len(sizes) == 1:
        return f"{height} x {width}"
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    least, most = (f"{h} x {w}" for h, w in (ordered[0], ordered[-1]))
    return f"{height} x {width} ({count} of {sizes.total()}), {least} to {most}"
