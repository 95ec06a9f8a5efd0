"""Files to work on, and the folder of what comes out, which a second run goes on with."""

import glob
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from pyg_mllc.errors import InputError
from pyg_mllc.utils.suffixes import describe_skipped, sort_out

OPTIONS = "options.json"  # what the results in a folder were made with
CLASSES = "classes.csv"
TABLES = (CLASSES, "classes.txt", "class_dict.csv")  # of classes, beside images/ and masks/
KINDS = {  # of results: folders, and how their files end
    "labels": ".png",
    "overlays": ".jpg",
    "changes": ".png",
    "confidence": ".png",
    "found": ".json",
}


class Source(NamedTuple):
    """A file to work on."""

    path: Path
    name: str  # below the folder given, with slashes and without suffix: names the results

    @property
    def root(self) -> str:
        """The folder that names start from."""
        return str(self.path.absolute().parents[self.name.count("/")].resolve())


class Found(NamedTuple):
    """What a path, a folder or a glob means."""

    sources: list[Source]  # by name
    passed: list[Path]  # files that hold images of formats that are not read


def find_files(option: str, given: str | Path, suffixes: Collection[str]) -> Found:
    """Find the files that a path, a folder (with those inside it) or a glob means.

    Results of earlier calls, where they lie inside the folder given, are none of them. Folders are
    looked into as `walk` does.

    Args:
        option: that the path was given as, for messages.
        given: a file, a folder, or a pattern such as `photos/**/*.jpg`.
        suffixes: in lower case, that files in folders need to have.

    Raises:
        InputError: if there are none, two differ by their suffix only, or as `walk`.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return Found([Source(path, path.stem)], [])
    if path.is_dir():
        root, files = path, list(walk(path, option))
    else:
        fixed = []
        for part in path.parts:
            if glob.has_magic(part):
                break
            fixed.append(part)
        root = Path(*fixed)
        matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
        files = [f for f in matches if not f.is_dir() and not f.name.startswith(".")]
    files, passed = sort_out((f for f in files if not _is_result(f, root)), suffixes)
    sources: dict[str, Source] = {}
    for file in files:
        name = file.relative_to(root).with_suffix("").as_posix()
        if name in sources:
            raise InputError(
                f"{file} and {sources[name].path} differ by their suffix only, and results have "
                "their names; rename or remove one"
            )
        sources[name] = Source(file, name)
    if not sources:
        if not path.is_dir() and not glob.has_magic(str(path)):
            raise InputError(f"{option}={given} does not exist")
        there = "has no" if path.is_dir() else "matches no"
        usual = [s for s in (".jpg", ".png", ".tif") if s in suffixes]
        known = usual if len(suffixes) > 9 else sorted(suffixes)
        more = " or the like" if known is usual else ""
        told = f"; {describe_skipped(passed)}" if passed else ""
        raise InputError(f"{option}={given} {there} file ending in {', '.join(known)}{more}{told}")
    return Found(list(sources.values()), passed)


def _is_result(file: Path, root: Path) -> bool:
    """Tell whether a file below a folder is what an earlier call made."""
    inside = list(file.relative_to(root).parents)[:-1]  # the last one is the root itself
    return any(holds_results(root / folder) for folder in inside)


def holds_results(folder: Path) -> bool:
    """Tell whether a folder is one of the kinds that an earlier call made."""
    return folder.name in KINDS and (folder.parent / OPTIONS).is_file()


def walk(folder: Path, option: str, skip: Collection[Path] = ()) -> Iterator[Path]:
    """List the files below a folder, but for hidden ones and results of earlier calls.

    Links to folders are followed; loops of them end, as each folder is seen once.

    Args:
        folder: where to start.
        option: that it was given as, for messages.
        skip: folders to pass over.

    Raises:
        InputError: if a folder is missing or cannot be read.
    """
    if not os.path.isdir(folder):
        raise InputError(f"The folder {folder} does not exist: add it, or correct {option}.")
    seen = {os.path.realpath(other) for other in skip} - {os.path.realpath(folder)}
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        if os.path.realpath(here) in seen:
            continue
        seen.add(os.path.realpath(here))
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            raise InputError(
                f"The folder {here} cannot be read ({error.strerror}): change its permissions, or "
                f"correct {option}."
            ) from error
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                continue
            linked = entry.is_symlink() and os.path.isdir(path)  # links may loop
            if linked or entry.is_dir(follow_symlinks=False):
                waiting += [] if holds_results(path) else [entry.path]
            else:  # a link to nothing is told where it is read
                yield path
