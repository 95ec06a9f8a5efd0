"""Jobs: name, data and folder of each training."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from experiments.held_out import held_out
from pyg_mllc.cli.composition import experiment_rows
from pyg_mllc.evaluation.results import TrainingResult

FOLDERS = {"camvid": "camvid", "voc": "voc2012", "cityscapes": "cityscapes"}  # of MLLC_DATA


class Job(NamedTuple):
    """Training of an experiment with one seed."""

    config: str  # name of an experiment
    overrides: tuple[str, ...]
    seed: int
    held_out: bool = False  # scored on training images that are held out, not on the validation set

    @property
    def folder(self) -> Path:
        """Folder of the training."""
        changed = "_".join(self.overrides).replace("/", "-").replace("=", "-")
        above = Path("outputs/tables", *["held_out"] * self.held_out)
        return above / self.config / (changed or "as_is") / f"seed{self.seed}"

    @property
    def ended(self) -> bool:
        """True if the training has ended and its network is here."""
        return bool(list(self.folder.glob("*/result.json")))

    @property
    def data(self) -> str:
        """Name of the data set."""
        return self.config.split("/")[-1].split("_")[0]

    @property
    def root(self) -> Path:
        """Folder of the images."""
        root = data_root(self.data)
        return held_out(self.data, root) if self.held_out else root

    @property
    def split(self) -> str:
        """Split that scores are measured on."""
        return "held_out" if self.held_out else "val"

    @property
    def result(self) -> TrainingResult:
        """Result of the training that has ended."""
        [file] = self.folder.glob("*/result.json")
        return TrainingResult.load(file)

    @property
    def commit(self) -> str:
        """Commits of the training, several if it was resumed."""
        return " ".join(self.result.provenance["commit"])


def data_root(data: str) -> Path:
    """Return the folder of a data set."""
    if data not in FOLDERS:
        raise SystemExit(
            f"a row's name begins with its data set, one of {', '.join(FOLDERS)}; got {data}"
        )
    if "MLLC_DATA" not in os.environ:
        raise SystemExit("MLLC_DATA is not set: give the folder that holds camvid, voc2012, ...")
    return Path(os.environ["MLLC_DATA"]) / FOLDERS[data]


def named(names: Iterable[str], words: Iterable[str]) -> list[str]:
    """Select names by words: the name itself, or all names that contain the word.

    Without words, all names are selected.
    """
    names, words = list(names), list(words)
    for word in words:
        if not any(word in name for name in names):
            raise SystemExit(f"no row is called so, or holds the word: {word}")
    parts = [word for word in words if word not in names]
    return [n for n in names if not words or n in words or any(part in n for part in parts)]


def tables() -> dict[str, list[str]]:
    """Return the names of the rows of each table."""
    names: dict[str, list[str]] = {}
    for row in experiment_rows():
        table, _, name = row.partition("/")
        names.setdefault(table, []).append(name)
    return names


def rows(table: str, words: Iterable[str] = ()) -> list[str]:
    """Select the experiments of a table by words, see `named`."""
    names = sorted(tables().get(table, []))
    return [f"{table}/{name}" for name in named(names, words)]


def lines_of(path: Path) -> list[dict[str, str]]:
    """Read the lines of a CSV; none if the file is missing."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for number, line in enumerate(lines, start=2):
        if "config" not in line or None in line or None in line.values():
            raise SystemExit(f"{path}, line {number}, is no line of a run, or was cut: take it out")
    return lines
