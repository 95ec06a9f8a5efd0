"""Doubts about the labels of a data set, by some of its masks, before training."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from pyg_mllc.data.base import SampleSet
from pyg_mllc.data.catalog import SPECS
from pyg_mllc.data.dataset import SegmentationDataset
from pyg_mllc.data.id_counts import IdCounts, count_ids, describe_unknown_ids
from pyg_mllc.data.label_statistics import LabelStatistics, count_labels, find_label_problems
from pyg_mllc.data.mask_io import pack_colors, read_mask, read_raw_mask
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.utils.validation import evenly_spaced

LOOKED_AT = 32  # masks of each part
AT_MOST = 128  # validation masks, while there is a class that none shows


def find_label_warnings(labeled: SampleSet | None, val: SampleSet) -> list[str]:
    """Return what is doubtful about labels, in sentences, by some of the masks.

    Of the labeled masks as many are read as it takes to see each class. Sets whose labels are not
    in files are not looked at.

    Args:
        labeled: Samples to train with; None where nothing is trained.
        val: Samples to measure on.

    Raises:
        InputError: If the classes explain the values of no labeled mask, or if all of these show a
            single class. The few images of a published data set may show a single class.
    """
    if not (_masks(labeled) or _masks(val)):
        return []
    spec, doubts = val.spec, list[str]()
    read, number = partial(read_mask, spec=spec), spec.num_classes
    known = measured = LabelStatistics(spec, np.zeros((0, 2, number + 1), dtype=int), "")
    if masks := _masks(labeled):
        counts, unread = count_sampled_labels(masks, read, number, len(masks))
        known = LabelStatistics(
            spec, counts, f"the labeled masks ({len(counts)} of {len(masks)} read)"
        )
        strange = describe_unknown_values([masks[place] for place in unread], spec)
        told = known.single() if len(counts) and spec.name not in SPECS else ""
        if told or (not len(counts) and strange):
            raise InputError(strange or told)
        doubts.append(strange)
    if masks := _masks(val):
        counts, _ = count_sampled_labels(masks, read, number, AT_MOST)
        what = f"the validation masks ({len(counts)} of {len(masks)} read)"
        measured = LabelStatistics(spec, counts, what, len(counts) == len(masks))
    found, notes = find_label_problems(known, measured)
    doubts += [one for sentences in found.values() for one in sentences]
    return [doubt for doubt in (*doubts, *notes) if doubt]


def _masks(samples: SampleSet | None) -> list[Path]:
    """Mask files, if the samples have any."""
    return samples.masks or [] if isinstance(samples, SegmentationDataset) else []


def count_sampled_labels(
    paths: Sequence[Path],
    read: Callable[[Path], np.ndarray],
    num_classes: int,
    most: int = LOOKED_AT,
) -> tuple[np.ndarray, list[int]]:
    """Count the labels of some masks, evenly spaced.

    Args:
        paths: All masks.
        read: Gives the labels (H, W) of one.
        num_classes: C.
        most: Masks that are read at most; beyond `LOOKED_AT` only while a class has no pixel.

    Returns:
        What `count_labels` gives of each, (n, 2, C + 1), and the positions of masks that cannot be
        read.
    """

    def count(place: int) -> np.ndarray | None:
        try:
            return count_labels(read(paths[place]), num_classes)
        except InputError:
            return None  # reading the sample tells what is wrong

    first = evenly_spaced(len(paths), LOOKED_AT)
    order = [*first, *sorted(set(range(len(paths))) - set(first))][:most]
    found: dict[int, np.ndarray | None] = {}
    seen = np.zeros(num_classes, dtype=bool)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        while len(found) < len(order) and not (found and seen.all()):
            some = order[len(found) : len(found) + LOOKED_AT]
            found.update(zip(some, pool.map(count, some), strict=True))
            for mask in (found[place] for place in some):
                seen |= False if mask is None else mask[0, :-1] > 0
    counts = [mask for mask in found.values() if mask is not None]
    empty = np.zeros((0, 2, num_classes + 1), dtype=int)
    unread = [place for place, mask in found.items() if mask is None]
    return np.stack(counts) if counts else empty, unread


def describe_unknown_values(
    paths: Sequence[Path], spec: DatasetSpec, read: Callable[[Path], np.ndarray] = read_raw_mask
) -> str:
    """Return what masks hold that the classes do not explain, and the mend; empty if nothing.

    Args:
        paths: Masks that cannot be read as labels; some of them are looked at.
        spec: The classes.
        read: Gives the ids (H, W) or colors (H, W, 3) of one.
    """
    stored, colors = IdCounts(), False
    for place in evenly_spaced(len(paths), LOOKED_AT):
        with suppress(InputError):  # a file that cannot be read at all
            values = read(paths[place])
            colors = colors or values.ndim == 3
            stored.add(paths[place], count_ids(values if values.ndim == 2 else pack_colors(values)))
    if not colors:
        return describe_unknown_ids(stored, spec.ids, spec.classes)
    return stored.describe_interpolation()
