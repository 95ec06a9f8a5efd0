"""What the runs of `--multirun` found: a line each in `sweep.csv`, means over seeds in a table."""

from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import rich
from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.table import Table
from rich.text import Text

from pyg_mllc.cli.sentences import short
from pyg_mllc.report.tables import plain_table, spread
from pyg_mllc.results import Run
from pyg_mllc.writing import write_csv

HEADER = (
    "folder", "method", "options", "seed", "last_miou", "best_miou", "best_step", "label_miou",
    "seconds",
)  # fmt: skip


class Job(NamedTuple):
    """One method that a run of a sweep trained."""

    folder: Path
    options: tuple[str, ...]  # those that are not the same in the whole sweep, but for the seed
    seed: str
    run: Run


class Sweep(Callback):
    """Hydra calls it as the runs of a sweep end."""

    def __init__(self) -> None:
        self.failed = False  # whether any run has: Hydra does not call `on_multirun_end` then

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        """Write `sweep.csv` in the folder of the sweep, with all that has ended so far.

        Once a run has failed, print the table as well, for the end of this run may be the last.
        """
        if config.hydra.mode == RunMode.MULTIRUN:
            self.failed |= job_return.status == JobStatus.FAILED
            if self.failed:
                self.on_multirun_end(config)
            else:
                _write(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write it once more, for runs may have ended at the same time, and print the table."""
        folder = Path(config.hydra.sweep.dir).absolute()
        rich.print(table(_write(folder)))
        print(f"sweep: {short(folder / 'sweep.csv')}")


def _write(folder: Path) -> list[Job]:
    jobs = read(folder)
    write_csv(folder / "sweep.csv", HEADER, map(_line, jobs))
    return jobs


def read(folder: Path) -> list[Job]:
    """What the runs in a folder trained."""
    files = folder.rglob("config/overrides.yaml")
    places = sorted((file.parents[1] for file in files), key=lambda p: (len(p.name), p))  # 2, 10
    given = {place: list(OmegaConf.load(place / "config/overrides.yaml")) for place in places}
    shared = set.intersection(*map(set, given.values())) if given else set()
    jobs = []
    for place, options in given.items():
        seed = str(OmegaConf.load(place / "config/config.yaml").seed)
        own = tuple(o for o in options if o not in shared and not o.startswith("seed="))
        jobs += [
            Job(place.relative_to(folder), own, seed, Run.load(file))
            for file in sorted(place.glob("*/result.json"))
        ]
    return jobs


def table(jobs: list[Job]) -> Table:
    """Mean and standard deviation over seeds, the best last mIoU first."""
    groups = defaultdict(list)
    for job in jobs:
        groups[job.options, job.run.name].append(job.run)
    shown = plain_table("options", "method", "seeds", "last mIoU", "best mIoU")
    order = sorted(groups.items(), key=lambda group: -mean(run.last_miou for run in group[1]))
    for (options, method), runs in order:
        figures = [spread([getattr(r, key) for r in runs]) for key in ("last_miou", "best_miou")]
        shown.add_row(*map(Text, ("\n".join(options), method, str(len(runs)), *figures)))
    return shown


def _line(job: Job) -> tuple[Any, ...]:
    run = job.run
    last, best, *labels = (
        f"{share:.4f}" for share in (run.last_miou, run.best_miou, *run.label_miou)
    )
    figures = (last, best, run.best_step, " ".join(labels), f"{run.seconds:.0f}")
    return job.folder, run.name, " ".join(job.options), job.seed, *figures
