"""Warnings about the labels of a data set before training, by some of its masks."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from pyg_mllc.data.base import SampleSet
from pyg_mllc.data.builtin_specs import SPECS
from pyg_mllc.data.dataset import SegmentationDataset
from pyg_mllc.data.id_counts import IdCounts, count_ids, describe_unknown_ids
from pyg_mllc.data.label_statistics import LabelStatistics, count_labels, find_label_problems
from pyg_mllc.data.mask_io import pack_colors, read_mask, read_raw_mask
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.utils.sampling import evenly_spaced

SAMPLED = 32  # masks of each part
MAX_SAMPLED = 128  # validation masks, while a class has no pixel


def find_label_warnings(labeled: SampleSet | None, val: SampleSet) -> list[str]:
    """Find doubtful properties of labels by reading some of the masks.

    Of the labeled masks as many are read as it takes to see each class. Labels that are not in
    files are not checked.

    Args:
        labeled: Samples to train with; None where nothing is trained.
        val: Samples to measure on.

    Returns:
        Messages.

    Raises:
        InputError: If the classes explain the values of no labeled mask, or if all labeled masks
            show a single class, except in a published data set.
    """
    if not (_masks(labeled) or _masks(val)):
        return []
    spec, warnings = val.spec, list[str]()
    read, number = partial(read_mask, spec=spec), spec.num_classes
    known = measured = LabelStatistics(spec, np.zeros((0, 2, number + 1), dtype=int), "")
    if masks := _masks(labeled):
        counts, unread = count_sampled_labels(masks, read, number, len(masks))
        what = f"the labeled masks ({len(counts)} of {len(masks)} read)"
        known = LabelStatistics(spec, counts, what)
        unknown = describe_unknown_values([masks[place] for place in unread], spec)
        single = known.single_class() if len(counts) and spec.name not in SPECS else ""
        if single or (not len(counts) and unknown):
            raise InputError(unknown or single)
        warnings.append(unknown)
    if masks := _masks(val):
        counts, _ = count_sampled_labels(masks, read, number, MAX_SAMPLED)
        what = f"the validation masks ({len(counts)} of {len(masks)} read)"
        measured = LabelStatistics(spec, counts, what, len(counts) == len(masks))
    problems, notes = find_label_problems(known, measured)
    warnings += [message for messages in problems.values() for message in messages]
    return [message for message in (*warnings, *notes) if message]


def _masks(samples: SampleSet | None) -> list[Path]:
    """Return the mask files of samples that have any."""
    return samples.masks or [] if isinstance(samples, SegmentationDataset) else []


def count_sampled_labels(
    paths: Sequence[Path],
    read: Callable[[Path], np.ndarray],
    num_classes: int,
    most: int = SAMPLED,
) -> tuple[np.ndarray, list[int]]:
    """Count the labels of some masks, evenly spaced.

    Args:
        paths: All masks.
        read: Reads the labels (H, W) of a mask.
        num_classes: Number of classes C.
        most: Largest number of masks to read; beyond `SAMPLED` only while a class has no pixel.

    Returns:
        Result of `count_labels` for each mask, (n, 2, C + 1), and the positions of unreadable
        masks.
    """

    def count(place: int) -> np.ndarray | None:
        try:
            return count_labels(read(paths[place]), num_classes)
        except InputError:
            return None  # reading the sample raises it again

    first = evenly_spaced(len(paths), SAMPLED)
    order = [*first, *sorted(set(range(len(paths))) - set(first))][:most]
    counted: dict[int, np.ndarray | None] = {}
    present = np.zeros(num_classes, dtype=bool)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        while len(counted) < len(order) and not (counted and present.all()):
            chunk = order[len(counted) : len(counted) + SAMPLED]
            counted.update(zip(chunk, pool.map(count, chunk), strict=True))
            for counts in (counted[place] for place in chunk):
                present |= False if counts is None else counts[0, :-1] > 0
    read_counts = [counts for counts in counted.values() if counts is not None]
    empty = np.zeros((0, 2, num_classes + 1), dtype=int)
    unread = [place for place, counts in counted.items() if counts is None]
    return np.stack(read_counts) if read_counts else empty, unread


def describe_unknown_values(
    paths: Sequence[Path], spec: DatasetSpec, read: Callable[[Path], np.ndarray] = read_raw_mask
) -> str:
    """Describe the values in masks that no class explains, with advice.

    Args:
        paths: Masks that cannot be read as labels; some of them are read.
        spec: Classes.
        read: Reads the ids (H, W) or colors (H, W, 3) of a mask.

    Returns:
        A message; empty if there is nothing to tell.
    """
    stored, colors = IdCounts(), False
    for place in evenly_spaced(len(paths), SAMPLED):
        with suppress(InputError):  # a file that cannot be read at all
            values = read(paths[place])
            colors = colors or values.ndim == 3
            stored.add(paths[place], count_ids(values if values.ndim == 2 else pack_colors(values)))
    if not colors:
        return describe_unknown_ids(stored, spec.ids, spec.classes)
    return stored.describe_interpolation()
