"""Tables of measurements that take minutes."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_mllc.utils.io import write_csv


def keep(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[tuple]:
    """Print rows as they are measured; write them when all are complete.

    Returns:
        The rows.
    """
    kept = list(_shown(rows))
    write_csv(path, header, kept)
    return kept


def extend(
    path: Path,
    header: Sequence[str],
    work: Mapping[Any, Callable[[], Iterable[Iterable[Any]]]],
) -> None:
    """Measure the rows that a CSV lacks, and append each when it is complete.

    Args:
        path: of the CSV.
        header: its columns; those of the keys come first.
        work: what to measure: by key, a tuple of text, what gives its rows, key included. A key
            that the CSV holds is left out; remove its lines to measure it again.
    """
    there = _lines(path, header)
    todo = {
        key: measure
        for key, measure in work.items()
        if not any(tuple(line[: len(key)]) == key for line in there)
    }
    print(f"{len(work) - len(todo)} of {len(work)} are in {path.name}", flush=True)
    for measure in todo.values():
        measured = list(_shown(measure()))
        write_csv(path, header, [*_lines(path, header), *measured])  # others may have written, too


def _lines(path: Path, header: Sequence[str]) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        first, *lines = [*csv.reader(file)] or [[]]
    if first != list(header):
        raise SystemExit(f"{path} has other columns than {','.join(header)}: move it away")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(first):
            raise SystemExit(f"{path}, line {number}, was cut: take it out")
    return lines


def _shown(rows: Iterable[Iterable[Any]]) -> Iterator[tuple]:
    """Print rows as they pass."""
    for row in map(tuple, rows):
        print(*row, sep="  ", flush=True)
        yield row
