"""Find input files, and recognize the results of earlier calls among them."""

import glob
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from pyg_mllc.errors import InputError
from pyg_mllc.utils.suffixes import describe_skipped, split_supported

OPTIONS = "options.json"  # options that the results in a folder were made with
CLASSES = "classes.csv"
TABLES = (CLASSES, "classes.txt", "class_dict.csv")  # tables of classes beside images/ and masks/
RESULT_FOLDERS = {  # folders of results, and the suffixes of their files
    "labels": ".png",
    "overlays": ".jpg",
    "changes": ".png",
    "confidence": ".png",
    "found": ".json",
}


class Source(NamedTuple):
    """Input file.

    Args:
        path: Path of the file.
        name: Path below the input folder, with slashes and without suffix; names the results.
    """

    path: Path
    name: str

    @property
    def root(self) -> str:
        """Folder that names start from."""
        return str(self.path.absolute().parents[self.name.count("/")].resolve())


class FoundFiles(NamedTuple):
    """Files that match a path, a folder or a glob.

    Args:
        sources: Files to read, sorted by path.
        skipped: Image files of unsupported formats.
    """

    sources: list[Source]
    skipped: list[Path]


def find_files(option: str, pattern: str | Path, suffixes: Collection[str]) -> FoundFiles:
    """Find the files that match a path, a folder (with subfolders) or a glob.

    Results of earlier calls below the folder are left out.

    Args:
        option: Name of the option that the user passed, for messages.
        pattern: File, folder, or glob such as `photos/**/*.jpg`.
        suffixes: Suffixes of files in folders, in lower case.

    Returns:
        Files to read, and image files of other formats.

    Raises:
        InputError: If there are no files, two differ by their suffix only, or as `walk`.
    """
    path = Path(pattern).expanduser()
    if path.is_file():
        return FoundFiles([Source(path, path.stem)], [])
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
    files, skipped = split_supported((f for f in files if not _is_result(f, root)), suffixes)
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
            raise InputError(f"{option}={pattern} does not exist")
        there = "has no" if path.is_dir() else "matches no"
        usual = [s for s in (".jpg", ".png", ".tif") if s in suffixes]
        known = usual if len(suffixes) > 9 else sorted(suffixes)
        more = " or the like" if known is usual else ""
        told = f"; {describe_skipped(skipped)}" if skipped else ""
        ending = f"{', '.join(known)}{more}{told}"
        raise InputError(f"{option}={pattern} {there} file ending in {ending}")
    return FoundFiles(list(sources.values()), skipped)


def _is_result(file: Path, root: Path) -> bool:
    """Return whether a file below a folder is a result of an earlier call."""
    inside = list(file.relative_to(root).parents)[:-1]  # the last one is the root itself
    return any(holds_results(root / folder) for folder in inside)


def holds_results(folder: Path) -> bool:
    """Return whether a folder holds results of an earlier call."""
    return folder.name in RESULT_FOLDERS and (folder.parent / OPTIONS).is_file()


def walk(folder: Path, option: str, skip: Collection[Path] = ()) -> Iterator[Path]:
    """List the files below a folder without hidden files and results of earlier calls.

    Links to folders are followed; each folder is visited once.

    Args:
        folder: Folder to start from.
        option: Name of the option that the user passed, for messages.
        skip: Folders to skip.

    Yields:
        Paths of files.

    Raises:
        InputError: If a folder is missing or cannot be read.
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
            else:  # a broken link raises where it is read
                yield path
