"""Shared parts of the commands: digests, tables of classes, reports on a folder."""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyg_mllc.cli.errors import short
from pyg_mllc.errors import InputError
from pyg_mllc.utils.io import write_csv
from pyg_mllc.utils.suffixes import describe_skipped

if TYPE_CHECKING:
    from pyg_mllc.inference.predictor import Predictor
    from pyg_mllc.typing import Color


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
        told = f" and {more} more" if more else ""
        print(f"not of this input, left as it was: {short(report.other_results[0])}{told}")
    if report.unsupported:
        print(f"mllc: {describe_skipped(report.unsupported)}", file=sys.stderr)
    for reason in report.left_out[1:]:
        print(f"left out: {reason}", file=sys.stderr)
    if report.left_out:
        raise InputError(f"{len(report.left_out)} {unit} were left out: {report.left_out[0]}")
    if report.unsupported:
        sys.exit(1)


def need_correction(predictor: "Predictor") -> None:
    """Raise if a network has no rounds of correction.

    Raises:
        InputError: if so.
    """
    if not len(predictor.corrector.rounds):
        raise InputError(
            "this network was trained without correction, so correct=true has nothing to correct "
            "by; leave it out, or train with method=mllc or method.correct=true"
        )


def digest(path: Path) -> str:
    """Return a digest of a file's content, 16 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write_classes(path: Path, classes: Sequence[str], colors: Iterable["Color"]) -> None:
    """Write what the numbers in labels mean, as a table of classes is read."""
    rows = ([i, n, *c] for i, (n, c) in enumerate(zip(classes, colors, strict=True)))
    write_csv(path, ["id", "name", "r", "g", "b"], rows)
