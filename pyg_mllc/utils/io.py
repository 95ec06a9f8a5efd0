"""Files that are whole or not there."""

import csv
import io
import math
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def atomic_open(path: str | Path) -> Iterator[BinaryIO]:
    """Write a file beside its place, and put it there once it is whole and on the disk.

    Whatever stops the writing, a full disk or Ctrl-C, an earlier file of that name stays as it was,
    and nothing half-written is left. Folders that are missing are made.

    Args:
        path: of the file.

    Raises:
        OSError: naming the file, if it cannot be written.

    >>> folder = getfixture("tmp_path")
    >>> with atomic_open(folder / "a" / "some.txt") as file:
    ...     _ = file.write(b"all of it")
    >>> (folder / "a" / "some.txt").read_text()
    'all of it'
    """
    path = Path(path)
    # Of this writer alone: others may write the same file.
    part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(part):
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # it is not there, or never could be
            part.unlink()


def write_csv(path: str | Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table as a whole file, see `atomic_open`.

    Args:
        path: of the file.
        header: names of the columns.
        rows: their values; NaN becomes an empty cell.
    """
    with atomic_open(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow("" if isinstance(v, float) and math.isnan(v) else v for v in row)
        text.detach()
