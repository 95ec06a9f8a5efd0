"""Read and write text files that list the images of a split."""

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pyg_mllc.data.file_pairs import DatasetFiles, FilePair, normalize_name
from pyg_mllc.errors import InputError
from pyg_mllc.utils.io import atomic_open
from pyg_mllc.utils.suffixes import image_suffixes


class Line(NamedTuple):
    """Line of a list.

    Args:
        number: Number of the line, from 1.
        image: Name or path of the image.
        mask: Name or path of the mask; None if the line names none.
    """

    number: int
    image: str
    mask: str | None


def read_list(path: Path) -> list[Line]:
    """Read a list of names, paths, or pairs of image and mask separated by a tab or spaces.

    Empty lines are skipped; names may hold spaces. A tab at the end of a line means no mask.

    Args:
        path: List file.

    Returns:
        Lines of the list.

    Raises:
        InputError: If the file is missing, is no text, or is empty.
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
    """Return the pattern of two names that both end like image files."""
    ending = "(?:" + "|".join(map(re.escape, sorted(image_suffixes(), reverse=True))) + ")"
    return re.compile(rf"(.+?{ending})\s+(.+{ending})", re.IGNORECASE)


def find_listed_files(path: Path, files: DatasetFiles, split: str, masked: bool) -> list[FilePair]:
    """Find the files that a list names.

    The mask in the list is used if its name has the spec's suffix; otherwise the mask of the same
    name in the folder of the masks is used.

    Args:
        path: List file. Its names are relative to the root or to the folder of the images.
        files: Files of the data set.
        split: ``train`` or ``val``.
        masked: Whether every image must have a mask.

    Returns:
        Images and their masks, in the order of the list.

    Raises:
        InputError: If a file is missing, naming the line.
    """
    named: dict[str, FilePair] = getattr(files, split)
    by_path = {pair.image: pair for pair in named.values()}
    lines, pairs = read_list(path), []
    missing: list[tuple[Line, str]] = []
    for line in lines:
        image = files.root / line.image
        stem, ending = os.path.splitext(line.image)
        stem = stem if ending.lower() in image_suffixes() else line.image
        name = normalize_name(stem.removesuffix(files.spec.image_suffix))
        pair = by_path.get(image) or named.get(name)
        if pair is None and not os.path.isfile(image):
            missing.append((line, f"{line.image!r}, but {files.root} has no such image"))
            continue
        pair = pair or FilePair(image, None)
        if line.mask and Path(line.mask).stem.endswith(files.spec.mask_suffix):
            pair = FilePair(pair.image, files.root / line.mask)
        if masked and (pair.mask is None or not os.path.isfile(pair.mask)):
            mask = pair.mask or f"mask in {files.folders[split][1]}"
            missing.append((line, f"{line.image!r}, but there is no {mask}"))
        pairs.append(pair)
    if missing:
        line, what = missing[0]
        raise InputError(
            f"{path} names {what} (line {line.number}; {len(missing)} of {len(lines)} are missing):"
            f" add the files, shorten the list, or correct data.root={files.root}."
        )
    return pairs


def write_list(path: Path, pairs: Iterable[FilePair], root: Path) -> None:
    """Write images and their masks as a list that `read_list` reads, atomically.

    Args:
        path: List file.
        pairs: Image and mask files.
        root: Folder of the data set; files outside are written with their absolute path.
    """
    lines = []
    for pair in pairs:
        names = ["" if file is None else _relative(file, root) for file in pair]
        lines.append("\t".join(names) if " " in "".join(names) else " ".join(names).strip())
    with atomic_open(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def _relative(file: Path, root: Path) -> str:
    inside = file.is_relative_to(root)
    return (file.relative_to(root) if inside else file.absolute()).as_posix()
