"""Atomic writing of files."""

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
    """Open a file for writing that replaces `path` only once it is complete and on the disk.

    If writing fails or is interrupted, an earlier file stays as it was and no partial file remains.
    Missing folders are made.

    Args:
        path: Path of the file.

    Yields:
        Binary file to write to.

    Raises:
        OSError: If the file cannot be written; it names `path`.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> with atomic_open(folder / "a" / "notes.txt") as file:
        ...     _ = file.write(b"complete")
        >>> (folder / "a" / "notes.txt").read_text()
        'complete'
    """
    path = Path(path)
    # A name of this writer alone, because others may write the same file.
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
        with suppress(OSError):  # it was moved or never made
            part.unlink()


def write_csv(path: str | Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table as a CSV file, atomically.

    Args:
        path: Path of the file.
        header: Names of the columns.
        rows: Values of the columns; NaN becomes an empty cell.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_open(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow("" if isinstance(v, float) and math.isnan(v) else v for v in row)
        text.detach()
