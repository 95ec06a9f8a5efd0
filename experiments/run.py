"""Train the rows of a table, each with several seeds; add a line to its CSV as each run finishes.

MLLC_DATA=path/to/data python -m experiments.run methods --jobs 2

A row is a file of `pyg_mllc/configs/experiment/<table>/`. Runs that are in the CSV are left
out, and stopped ones go on; with `--networks`, runs of the CSV are trained, too, if their networks
are not here, and add no line. Each job has one thread.
"""

import argparse
import csv
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib.metadata import version
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from experiments.held_out import held_out
from pyg_mllc.pictures import percent
from pyg_mllc.results import Run

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "pyg_mllc/configs/experiment"
COMMA = r",(?![^\[]*\])"  # not inside a list
COMPOSING = Lock()  # Hydra composes one configuration at a time
FIELDS = (
    "config overrides seed labeled steps miou_last miou_best best_step teacher_miou "
    "label_accuracy label_miou class_iou seconds step_seconds peak_mb commit versions machine date"
).split()


class Job(NamedTuple):
    """One training."""

    config: str  # name of an experiment
    overrides: tuple[str, ...]
    seed: int

    @property
    def folder(self) -> Path:
        """Where it trains."""
        changed = "_".join(self.overrides).replace("/", "-").replace("=", "-")
        return Path("outputs/tables") / self.config / (changed or "as_is") / f"seed{self.seed}"

    @property
    def ended(self) -> bool:
        """Whether its network is here."""
        return bool(list(self.folder.glob("*/result.json")))


def named(names: Iterable[str], words: Iterable[str]) -> list[str]:
    """Those names that words mean: a name itself, or all that hold the word; without words all."""
    names, words = list(names), list(words)
    whole = [word for word in words if word in names]
    parts = [word for word in words if word not in names]
    return [n for n in names if not words or n in whole or any(part in n for part in parts)]


def rows(table: str, words: Iterable[str] = ()) -> list[str]:
    """The experiments of a table that words mean, see `named`."""
    files = sorted((CONFIGS / table).glob("*.yaml"))
    return [f"{table}/{name}" for name in named((file.stem for file in files), words)]


def roots() -> dict[str, Path]:
    """Where each data set lies."""
    if "MLLC_DATA" not in os.environ:
        raise SystemExit("MLLC_DATA is not set: give the folder that holds camvid, voc2012, ...")
    folders = {"camvid": "camvid", "voc": "voc2012", "cityscapes": "cityscapes"}
    return {name: Path(os.environ["MLLC_DATA"]) / folder for name, folder in folders.items()}


def data_set(config: str) -> str:
    """The data set that an experiment trains on."""
    return config.split("/")[-1].split("_")[0]


def train(job: Job, places: dict[str, Path]) -> dict[str, str]:
    """Train in a process of its own, or go on; give the line of the CSV."""
    kept, root = job.folder / "run.yaml", places[data_set(job.config)]
    if kept.exists():
        _compare(job, OmegaConf.load(kept), root)
    if job.ended:
        return _line(job)  # it ended, but its line was not written
    if kept.exists() and list(job.folder.glob("*/last.ckpt")):
        options = [f"resume={job.folder}", "trainer.progress=false"]
    else:
        options = [f"experiment={job.config}", *job.overrides, f"seed={job.seed}"]
        options += [
            f"data.root={root}",
            "trainer.progress=false",
            f"output={job.folder}",
            "overwrite=true",
        ]
    job.folder.mkdir(parents=True, exist_ok=True)
    commits = job.folder / "commits"
    head = _git("rev-parse", "--short", "HEAD") + (
        "+" if _git("status", "--porcelain", "-uno", ":!*.csv") else ""
    )
    before = commits.read_text().split() if kept.exists() and commits.exists() else []
    commits.write_text(" ".join(dict.fromkeys([*before, head])))
    with (job.folder / "log.txt").open("a") as log:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pyg_mllc.cli", "train", *options]
        ended = subprocess.run(command, stdout=log, stderr=log, env=environment)
    if ended.returncode:
        last = (job.folder / "log.txt").read_text().splitlines()[-1:]
        raise ValueError(f"{job.folder}/log.txt ends with: {''.join(last)}")
    return _line(job)


def _compare(job: Job, kept: Any, root: Path) -> None:
    """Refuse a folder that was trained on other images, or before the row's file was changed."""
    if Path(kept.data.root).resolve() != root.resolve():
        raise ValueError(f"{job.folder} was trained on other images than {root}: move it away")
    with COMPOSING, initialize_config_module("pyg_mllc.configs", version_base="1.3"):
        options = [f"experiment={job.config}", *job.overrides, f"seed={job.seed}"]
        now = compose("train", [*options, f"data.root={root}", "trainer.progress=false"])
    for part in ("data", "model", "corrector", "method", "trainer"):
        was, row = (OmegaConf.to_container(config[part], resolve=True) for config in (kept, now))
        row.pop("root", None)  # compared above
        if changed := [key for key in row if key in was and was[key] != row[key]]:
            name = f"{part}.{changed[0]}"
            raise ValueError(
                f"{job.folder} was trained with {name}={was[changed[0]]}, and {job.config} has "
                f"{row[changed[0]]} now: move it away"
            )


def _line(job: Job) -> dict[str, str]:
    [file] = job.folder.glob("*/result.json")
    found = Run.load(file)
    options = OmegaConf.load(job.folder / "run.yaml")

    def percents(shares: Iterable[float], digits: int = 2) -> str:
        return " ".join(percent(share, digits) for share in shares)

    return {
        "config": job.config,
        "overrides": " ".join(job.overrides),
        "seed": str(job.seed),
        "labeled": str(options.data.labeled or "all"),
        "steps": str(options.trainer.max_steps),
        "miou_last": percents([found.last_miou]),
        "miou_best": percents([found.best_miou]),
        "best_step": str(found.best_step),
        "teacher_miou": percents([found.curve("teacher_miou")[-1][1]]),
        "label_accuracy": percents(found.label_accuracy),
        "label_miou": percents(found.label_miou),
        "class_iou": percents(found.class_iou, 1),
        "seconds": f"{found.seconds:.0f}",
        "step_seconds": f"{found.step_seconds:.3f}",
        "peak_mb": f"{found.peak_mb:.0f}",
        "commit": (job.folder / "commits").read_text(),
        "versions": f"torch {version('torch')}, torch_geometric {version('torch_geometric')}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread a run",
        "date": str(date.today()),
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()


def done(path: Path) -> set[Job]:
    """The runs that a CSV holds."""
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {
            Job(row["config"], tuple(row["overrides"].split()), int(row["seed"]))
            for row in csv.DictReader(file)
        }


def run(
    jobs: list[Job], path: Path, parallel: int, places: dict[str, Path], networks: bool = False
) -> None:
    """Train those jobs that the CSV does not hold yet; with `networks`, whose network is not here.

    Only what the CSV does not hold adds a line to it.
    """
    lock, known = Lock(), done(path)
    todo = [job for job in jobs if job not in known or (networks and not job.ended)]
    for job in jobs:
        if job not in todo:
            print(job.config, *job.overrides, "seed", job.seed, "is in", path.name)
    path.parent.mkdir(parents=True, exist_ok=True)

    def one(job: Job) -> None:
        line = train(job, places)
        if job not in known:
            with lock, path.open("a", newline="") as file:
                writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                if not file.tell():
                    writer.writeheader()
                writer.writerow(line)
        print(
            job.config, *job.overrides, job.seed, line["miou_last"], line["miou_best"], flush=True
        )

    with ThreadPoolExecutor(parallel) as pool:
        futures = [pool.submit(one, job) for job in todo]
    failed = [future.exception() for future in futures if future.exception()]
    if failed:
        raise SystemExit(f"{len(failed)} runs failed: {failed[0]}")


def main() -> None:
    """Train what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", help="folder of experiments")
    parser.add_argument(
        "--rows", nargs="*", default=[], help="only rows that are called so, or hold such a word"
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument(
        "--set", nargs="*", default=[], help="options, lists of them separated by ,"
    )
    parser.add_argument(
        "--networks", action="store_true", help="train what the CSV holds, too, if it is not here"
    )
    parser.add_argument(
        "--held-out", action="store_true", help="on training images, part of which are held out"
    )
    parser.add_argument("--csv", help="file, by default experiments/<table>/<table>.csv")
    given = parser.parse_args()
    if given.held_out and not given.csv:
        parser.error("--held-out needs --csv, for these runs belong in no table of the validation")
    chosen = rows(given.table, given.rows)
    if not (CONFIGS / given.table).is_dir():
        tables = sorted(folder.name for folder in CONFIGS.iterdir() if folder.is_dir())
        raise SystemExit(f"no table is called {given.table}; there are {', '.join(tables)}")
    if not chosen:
        words = " ".join([given.table, *given.rows])
        raise SystemExit(f"no rows are called so: {words}; see {CONFIGS}")
    places = roots()
    if given.held_out:
        places = {name: held_out(name, places[name]) for name in map(data_set, chosen)}
    options = [option.partition("=")[::2] for option in given.set]
    choices = [[f"{name}={value}" for value in re.split(COMMA, values)] for name, values in options]
    jobs = [
        Job(row, overrides, seed)
        for seed, row, overrides in product(given.seeds, chosen, product(*choices))
    ]
    path = Path(given.csv) if given.csv else HERE / given.table / f"{Path(given.table).name}.csv"
    run(jobs, path, given.jobs, places, given.networks)


if __name__ == "__main__":
    main()
