"""Folders of results, which a second call continues, and their report."""

import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyg_mllc.cli.errors import short
from pyg_mllc.errors import InputError
from pyg_mllc.utils.files import CLASSES, OPTIONS, RESULT_FOLDERS, TABLES, Source
from pyg_mllc.utils.io import atomic_open, write_csv
from pyg_mllc.utils.suffixes import describe_skipped

if TYPE_CHECKING:
    from pyg_mllc.typing import Color


def check_output(folder: Path, own: Collection[str] = ()) -> None:
    """Raise if a folder cannot be written to, or a data set is read from it.

    Otherwise the table of classes of the results would be read as that of the data set.

    Args:
        folder: folder for results.
        own: names in it that belong to earlier results.

    Raises:
        InputError: if so.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"output={folder} is a file; give a folder")
    above = folder.absolute()
    there = next(place for place in (above, *above.parents) if place.exists())
    if not os.access(there, os.W_OK):
        raise InputError(f"output={folder} cannot be written to; give another folder")
    for name in (*TABLES, "images", "masks"):
        if name not in own and (folder / name).exists():
            raise InputError(
                f"output={folder} has a {name} that is none of these results; give another folder"
            )


class Results:
    """Folder of results: one subfolder per kind, one file per input, under the input's name.

    Args:
        folder: for all of it; made when the first file is written.
        kinds: subfolders, some of `RESULT_FOLDERS`.
        options: what the results depend on. A folder that was begun with others is refused.

    Raises:
        InputError: if the folder was begun with other options, or as `check_output`.
    """

    def __init__(
        self, folder: str | Path, kinds: Iterable[str], options: Mapping[str, object]
    ) -> None:
        self.folder = Path(folder).expanduser()
        self.kinds = {kind: RESULT_FOLDERS[kind] for kind in kinds}
        self.options = json.loads(json.dumps(dict(options), default=str))
        earlier = self.folder / OPTIONS
        check_output(self.folder, (CLASSES,) if earlier.exists() else ())
        if not earlier.is_file() or not self._begun():
            return
        try:
            before = json.loads(earlier.read_text(encoding="utf-8"))
            keys = [key for key in self.options if before.get(key) != self.options[key]]
        except (ValueError, AttributeError) as error:
            raise InputError(f"{earlier} is damaged; give another output=<folder>") from error
        if keys:
            was, now = (json.dumps(o.get(keys[0])) for o in (before, self.options))
            raise InputError(
                f"output={folder} holds results made with {keys[0]}={was}, and now it is {now}; "
                "give another folder, or remove this one"
            )

    def begin(self, sources: Iterable[Source], inputs: Iterable[Path]) -> list[Source]:
        """Return the sources without results, after a check that no input is overwritten.

        Args:
            sources: all of them.
            inputs: files that must stay as they are.

        Raises:
            InputError: if a result would take the place of an input.
        """
        kept = {path.resolve() for path in inputs}
        sources = list(sources)
        for source in sources:
            for path in self.paths(source.name).values():
                if path.resolve() in kept:
                    raise InputError(
                        f"{path} is an input and would be overwritten; give another output"
                    )
        with atomic_open(self.folder / OPTIONS) as file:
            file.write(json.dumps(self.options, indent=1, ensure_ascii=False).encode())
        return [source for source in sources if not self.done(source)]

    def write_classes(
        self, classes: Sequence[str], colors: Iterable["Color"], ids: Iterable[int] | None = None
    ) -> None:
        """Write what the numbers in labels mean, as a table of classes is read.

        Args:
            classes: names.
            colors: red, green and blue of each, 0-255.
            ids: number of each; by default its position.
        """
        numbers = range(len(classes)) if ids is None else ids
        rows = ([i, n, *c] for i, n, c in zip(numbers, classes, colors, strict=True))
        write_csv(self.folder / CLASSES, ["id", "name", "r", "g", "b"], rows)

    def _begun(self) -> bool:
        """Check if there is a result of any kind."""
        files = (file for kind in RESULT_FOLDERS for file in (self.folder / kind).rglob("*"))
        return any(file.is_file() for file in files)

    def paths(self, name: str) -> dict[str, Path]:
        """Return the file of each kind for one input.

        Args:
            name: of the input.
        """
        return {kind: self.folder / kind / (name + end) for kind, end in self.kinds.items()}

    def others(self, sources: Iterable[Source]) -> list[Path]:
        """Return results of other inputs, such as files that were removed since.

        Args:
            sources: the inputs.
        """
        kind, end = next(iter(self.kinds.items()))
        known = {self.paths(source.name)[kind] for source in sources}
        return sorted(set((self.folder / kind).rglob(f"*{end}")) - known)

    def done(self, source: Source) -> bool:
        """Return whether all results of an input exist and are newer than the input.

        Args:
            source: the input.
        """
        if not source.path.exists():
            return False
        state = source.path.stat()
        changed = max(state.st_mtime, state.st_ctime)  # who moves an older file there changes this
        files = self.paths(source.name).values()
        return all(file.is_file() and file.stat().st_mtime >= changed for file in files)


class FolderReport(NamedTuple):
    """Outcome of a command that writes results of many files into a folder."""

    folder: Path
    done: int  # inputs whose results were written now
    skipped: int  # inputs whose results were there already
    total: int
    left_out: list[str]  # why each input that failed was left out
    unsupported: list[Path]  # files of formats that are not read
    other_results: list[Path]  # results in the folder that belong to none of the inputs


def print_report(report: FolderReport, unit: str) -> None:
    """Print what is left over in a folder, and stop with an error if anything was left out.

    Args:
        report: what was done.
        unit: what the inputs are, after their number: `images`.

    Raises:
        InputError: if inputs were left out.
        SystemExit: with code 1 if there were files of formats that are not read.
    """
    if report.other_results:
        more = len(report.other_results) - 1
        others = f" and {more} more" if more else ""
        print(f"not of this input, left as it was: {short(report.other_results[0])}{others}")
    if report.unsupported:
        print(f"mllc: {describe_skipped(report.unsupported)}", file=sys.stderr)
    for reason in report.left_out[1:]:
        print(f"left out: {reason}", file=sys.stderr)
    if report.left_out:
        raise InputError(f"{len(report.left_out)} {unit} were left out: {report.left_out[0]}")
    if report.unsupported:
        sys.exit(1)


def digest(path: Path) -> str:
    """Return a digest of a file's content, 16 hexadecimal digits.

    Args:
        path: of the file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
