"""Which training images are labeled and which are not: drawn by a seed."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pyg_mllc.data.file_pairs import FilePair
from pyg_mllc.data.mask_io import read_mask
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE


def draw_labeled(
    masked: Sequence[bool],
    labeled: int,
    unlabeled: int | None,
    seed: int,
    first: Sequence[bool] | None = None,
    present: np.ndarray | None = None,
    overlap: bool = False,
) -> tuple[list[int], list[int]]:
    """Draw which training images are labeled; the rest is unlabeled.

    With the same seed a larger draw contains the smaller one.

    Args:
        masked: For each training image whether it may be labeled.
        labeled: How many labeled images to draw from these.
        unlabeled: At most so many of the rest, drawn too; None takes all.
        seed: Seed of the draw.
        first: For each training image whether it is drawn before all others.
        present: Which classes each image holds, (n, C): the draw then takes, image by image, one
            that holds the class that the fewest drawn images hold, see `balanced`.
        overlap: Whether labeled images are among the unlabeled ones, too.

    Returns:
        Positions of the labeled and of the unlabeled images, both ascending.

    Raises:
        InputError: If fewer images may be labeled than are asked for.

    Example:
        >>> draw_labeled([True] * 6, labeled=2, unlabeled=None, seed=0)
        ([2, 3], [0, 1, 4, 5])
    """
    if labeled > sum(masked):
        raise InputError(
            f"data.labeled={labeled} is more than the {sum(masked)} training images with a mask: "
            f"pass data.labeled={sum(masked)} or less."
        )
    order = np.random.default_rng(seed).permutation(len(masked)).tolist()
    candidates = [index for index in order if masked[index]]
    if first is not None:
        candidates.sort(key=lambda index: not first[index])  # stable: drawn order within each
    if present is not None:
        candidates = balanced(candidates, present)
    chosen = candidates[:labeled]
    taken = set() if overlap else set(chosen)
    rest = [index for index in order if index not in taken][:unlabeled]
    return sorted(chosen), sorted(rest)


def balanced(candidates: list[int], present: np.ndarray) -> list[int]:
    """Order images so that the first ones hold each class about equally often.

    Each next image is the first candidate that holds the class that the fewest images before it
    hold; of such classes the rarest among all candidates.

    Args:
        candidates: Positions of images, in the order of preference.
        present: Which classes each image holds, bool (n, C).

    Example:
        >>> present = np.array([[True, False], [True, False], [True, False], [True, True]])
        >>> balanced([0, 1, 2, 3], present)
        [3, 0, 1, 2]
    """
    rarity, held = present[candidates].sum(axis=0), np.zeros(present.shape[1], dtype=int)
    queues = {
        label: deque(index for index in candidates if present[index, label])
        for label in np.flatnonzero(rarity).tolist()
    }
    ordered: dict[int, None] = {}
    while queues:
        label = min(queues, key=lambda label: (held[label], rarity[label]))
        queue = queues[label]
        while queue and queue[0] in ordered:
            queue.popleft()
        if not queue:
            del queues[label]
            continue
        ordered[queue[0]] = None
        held += present[queue[0]]
    return [*ordered, *(index for index in candidates if index not in ordered)]


def classes_present(items: Sequence[FilePair], spec: DatasetSpec) -> np.ndarray:
    """Read which classes each mask holds; none where there is no mask or it cannot be read.

    Returns:
        Bool (n, C).
    """
    present = np.zeros((len(items), spec.num_classes), dtype=bool)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        for row, held in enumerate(pool.map(lambda item: _held(item, spec), items)):
            present[row, held] = True
    return present


def _held(item: FilePair, spec: DatasetSpec) -> list[int]:
    try:
        labels = read_mask(item.mask, spec) if item.mask else np.empty(0, dtype=int)
    except InputError:
        return []  # whoever reads the image as well says what is wrong
    return np.flatnonzero(np.bincount(labels.ravel(), minlength=IGNORE)[:IGNORE]).tolist()
