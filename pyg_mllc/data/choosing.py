"""Which images of a data set on disk take which part: by a draw, or as lists say."""

import logging
import os
from pathlib import Path

from pyg_mllc.data.file_pairs import Item, Tree
from pyg_mllc.data.labeled_subset import classes_present, draw_labeled
from pyg_mllc.data.spec import Protocol
from pyg_mllc.data.split_lists import find_listed
from pyg_mllc.errors import InputError

log = logging.getLogger(__name__)


def listed(tree: Tree, split: str, masked: bool) -> list[Item]:
    """Give the images of a split, in the order of its list or else of their names.

    Args:
        tree: Data set on disk.
        split: ``train`` or ``val``.
        masked: Whether every image must have a mask.

    Raises:
        InputError: If there are none, or files are missing.
    """
    spec = tree.spec
    if spec.listing:
        name = spec.listing.format(split={"train": spec.train}.get(split, split))
        return find_listed(tree.root / name, tree, split, masked)
    items: list[Item] = list(getattr(tree, split).values())
    images, masks = tree.folders[split]
    if not items:
        raise InputError(f"{images} has no image for the split {split!r}: add some.")
    for item in items:
        if masked and item.mask is None:
            raise InputError(
                f"The validation image {item.image} has no mask of that name in {masks}: add the "
                "mask or take the image out."
            )
    return items


def drawn(
    tree: Tree,
    labeled: int | None,
    unlabeled: int | None,
    seed: int,
    protocol: Protocol | None,
    balanced: bool,
    overlap: bool,
) -> tuple[list[Item], list[Item]]:
    """Draw labeled and unlabeled training images; see `make_splits` for the options.

    Raises:
        InputError: If there are fewer images with a mask than are to be labeled.
    """
    train = listed(tree, "train", False)
    masked, first = [item.mask is not None for item in train], None
    if protocol:
        labeled = protocol.labeled
        if len(train) != protocol.of:
            log.warning(
                "the protocol is of %d training images, but %s has %d: figures will not compare",
                protocol.of, tree.root, len(train),
            )  # fmt: skip
    if protocol and protocol.fine:
        listing = tree.root / tree.spec.listing.format(split=tree.spec.fine)
        fine = {item.image for item in find_listed(listing, tree, "train", False)}
        first = [item.image in fine for item in train]
        if protocol.fine == "only":
            masked = [has and finest for has, finest in zip(masked, first, strict=True)]
    known, others = draw_labeled(
        masked,
        sum(masked) if labeled is None else labeled,
        unlabeled,
        seed,
        first,
        classes_present(train, tree.spec) if balanced else None,
        overlap,
    )
    return [train[index] for index in known], [train[index] for index in others]


def as_listed(tree: Tree, folder: Path, overlap: bool) -> tuple[list[Item], ...]:
    """Give labeled, unlabeled and validation images as the lists of a folder name them.

    Args:
        tree: Data set on disk.
        folder: Of ``labeled.txt``, and perhaps ``unlabeled.txt`` and ``val.txt``.
        overlap: Whether an image may be in both of the first two.

    Raises:
        InputError: If there is no such folder, a list or a file is missing, or lists overlap,
            also with the validation images.
    """
    if not os.path.isdir(folder):
        known = f" {', '.join(tree.spec.protocols)}, or" if tree.spec.protocols else ""
        raise InputError(
            f"data.partition={folder} is unknown: pass{known} a folder that holds labeled.txt and "
            "unlabeled.txt."
        )
    labeled = find_listed(folder / "labeled.txt", tree, "train", True)
    taken = {item.image for item in labeled}
    if (folder / "unlabeled.txt").exists():
        none = not (folder / "unlabeled.txt").stat().st_size  # as where a run used none
        unlabeled = [] if none else find_listed(folder / "unlabeled.txt", tree, "train", False)
        both = [item.image for item in unlabeled if item.image in taken]
        if both and not overlap:
            raise InputError(
                f"{folder / 'unlabeled.txt'} names {both[0]}, which labeled.txt names, too "
                f"({len(both)} such): take it out of one, or pass data.overlap=true."
            )
    else:
        train = listed(tree, "train", False)
        unlabeled = [item for item in train if overlap or item.image not in taken]
    lists = [path for path in (folder / "val.txt", folder.parent / "val.txt") if path.is_file()]
    val = find_listed(lists[0], tree, "val", True) if lists else listed(tree, "val", True)
    shown = taken | {item.image for item in unlabeled}
    both = [item.image for item in val if item.image in shown]
    if both:
        raise InputError(
            f"{both[0]} is for training by the lists in {folder}, and for validation ({len(both)} "
            "such): take it out of one, or name the validation images in val.txt there."
        )
    return labeled, unlabeled, val
