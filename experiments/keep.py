"""Tables of measurements that take minutes."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pyg_mllc.writing import write_csv


def keep(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[tuple]:
    """Print rows as they are measured; once all are, write them, so that a stop loses no old ones.

    Returns:
        The rows.
    """
    kept = []

    def shown() -> Iterator[tuple]:
        for row in rows:
            kept.append(tuple(row))
            print(*kept[-1], sep="  ", flush=True)
            yield kept[-1]

    write_csv(path, header, shown())
    return kept
