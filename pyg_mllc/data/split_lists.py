"""Plain text lists of images: the field's, and those beside a run."""

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pyg_mllc.data.file_pairs import DatasetFiles, FilePair, plain
from pyg_mllc.errors import InputError
from pyg_mllc.utils.io import atomic_open
from pyg_mllc.utils.suffixes import image_suffixes


class Line(NamedTuple):
    """One line of a list: its number, the image that it names, and the mask, if it names one."""

    number: int
    image: str
    mask: str | None


def read_list(path: Path) -> list[Line]:
    """Read a list: bare names, paths, or `image mask` pairs apart by a tab or spaces.

    Empty lines and a missing final newline do not matter; names may hold spaces. A tab at the end
    says that there is no mask.

    Raises:
        InputError: If the file is missing, is no text, or names nothing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(
            f"The list {path} does not exist: put it there, one image name per line."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a list ({error}): save it as UTF-8.") from error
    lines = [
        _parse(number, line.lstrip().rstrip(" \r"))
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]
    if not lines:
        raise InputError(f"The list {path} is empty: write one image name per line.")
    return lines


def _parse(number: int, line: str) -> Line:
    names = line.split("\t")
    if len(names) == 2:
        return Line(number, names[0].strip(), names[1].strip() or None)
    pair = _pair().fullmatch(line.strip())
    return Line(number, pair[1], pair[2]) if pair else Line(number, line.strip(), None)


@cache
def _pair() -> re.Pattern[str]:
    """Two names that both end as image files do."""
    ending = "(?:" + "|".join(map(re.escape, sorted(image_suffixes(), reverse=True))) + ")"
    return re.compile(rf"(.+?{ending})\s+(.+{ending})", re.IGNORECASE)


def find_listed_files(path: Path, tree: DatasetFiles, split: str, masked: bool) -> list[FilePair]:
    """Find the files that a list names.

    A mask that the list names counts, unless its name says that it stores something else than the
    spec expects; else the mask is the one that lies in the folder of the masks.

    Args:
        path: The list. Its names are relative to the root, or inside the folder of the images.
        tree: Data set on disk.
        split: ``train`` or ``val``.
        masked: Whether every image must have a mask.

    Raises:
        InputError: If a file is missing, naming the line.
    """
    named: dict[str, FilePair] = getattr(tree, split)
    by_path = {item.image: item for item in named.values()}
    lines, items = read_list(path), []
    missing: list[tuple[Line, str]] = []
    for line in lines:
        image = tree.root / line.image
        stem, ending = os.path.splitext(line.image)
        stem = stem if ending.lower() in image_suffixes() else line.image
        name = plain(stem.removesuffix(tree.spec.image_suffix))
        item = by_path.get(image) or named.get(name)
        if item is None and not os.path.isfile(image):
            missing.append((line, f"{line.image!r}, but {tree.root} has no such image"))
            continue
        item = item or FilePair(image, None)
        if line.mask and Path(line.mask).stem.endswith(tree.spec.mask_suffix):
            item = FilePair(item.image, tree.root / line.mask)
        if masked and (item.mask is None or not os.path.isfile(item.mask)):
            mask = item.mask or f"mask in {tree.folders[split][1]}"
            missing.append((line, f"{line.image!r}, but there is no {mask}"))
        items.append(item)
    if missing:
        line, what = missing[0]
        raise InputError(
            f"{path} names {what} (line {line.number}; {len(missing)} of {len(lines)} are missing):"
            f" add the files, shorten the list, or correct data.root={tree.root}."
        )
    return items


def write_list(path: Path, items: Iterable[FilePair], root: Path) -> None:
    """Write images, and their masks, as a list that `read_list` reads, in one go.

    Args:
        path: The list.
        items: Image and mask files.
        root: Folder of the data set; what lies elsewhere is written with its whole path.
    """
    lines = []
    for item in items:
        names = ["" if file is None else _relative(file, root) for file in item]
        lines.append("\t".join(names) if " " in "".join(names) else " ".join(names).strip())
    with atomic_open(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def _relative(file: Path, root: Path) -> str:
    inside = file.is_relative_to(root)
    return (file.relative_to(root) if inside else file.absolute()).as_posix()
