"""Draw which training images are labeled."""

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

    With the same seed, a larger draw contains the smaller one.

    Args:
        masked: Whether each training image may be labeled.
        labeled: Number of labeled images to draw from these.
        unlabeled: Largest number of the rest, drawn too; None takes all.
        seed: Seed of the draw.
        first: Whether each training image is drawn before all others; None for no such images.
        present: Classes that each image holds, bool (n, C), for a balanced draw, see
            `order_by_balance`; None for a uniform draw.
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
        candidates = order_by_balance(candidates, present)
    chosen = candidates[:labeled]
    taken = set() if overlap else set(chosen)
    rest = [index for index in order if index not in taken][:unlabeled]
    return sorted(chosen), sorted(rest)


def order_by_balance(candidates: list[int], present: np.ndarray) -> list[int]:
    """Order images so that each prefix holds each class about equally often.

    The next image is the first candidate with the class that the fewest earlier images hold. Ties
    go to the class that is rarest among all candidates.

    Args:
        candidates: Positions of images, in the order of preference.
        present: Classes that each image holds, bool (n, C).

    Returns:
        Positions of all candidates, reordered.

    Example:
        >>> present = np.array([[True, False], [True, False], [True, False], [True, True]])
        >>> order_by_balance([0, 1, 2, 3], present)
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


def classes_present(pairs: Sequence[FilePair], spec: DatasetSpec) -> np.ndarray:
    """Read the classes that each mask holds.

    Args:
        pairs: Images and their masks.
        spec: Classes.

    Returns:
        Bool (n, C); False where there is no mask or it cannot be read.
    """
    present = np.zeros((len(pairs), spec.num_classes), dtype=bool)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        for row, held in enumerate(pool.map(lambda pair: _classes_in(pair, spec), pairs)):
            present[row, held] = True
    return present


def _classes_in(pair: FilePair, spec: DatasetSpec) -> list[int]:
    try:
        labels = read_mask(pair.mask, spec) if pair.mask else np.empty(0, dtype=int)
    except InputError:
        return []  # reading the sample raises it again
    return np.flatnonzero(np.bincount(labels.ravel(), minlength=IGNORE)[:IGNORE]).tolist()
