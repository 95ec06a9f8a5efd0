"""Results of a sweep: a line per run in `sweep.csv`, and a table of means over seeds."""

import shlex
import sys
import traceback
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import rich
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.table import Table
from rich.text import Text

from pyg_mllc.cli.errors import sentence_of, short
from pyg_mllc.cli.run_dir import CHANGEABLE, COMMAND, ERROR, RUN, OccupiedError, read_run
from pyg_mllc.evaluation.results import TrainingResult
from pyg_mllc.utils.io import atomic_open, write_csv
from pyg_mllc.visualization.report.tables import chain, plain_table, spread

HEADER = (
    "folder", "method", "options", "seed", "last_miou", "best_miou", "best_step", "label_miou",
    "seconds",
)  # fmt: skip
ASIDE = ("seed", "overwrite", *CHANGEABLE)  # what makes no other group


class Job(NamedTuple):
    """One method that a run of a sweep trained."""

    folder: Path
    options: tuple[str, ...]  # those that the sweep varies, but for the seed
    seed: str
    run: TrainingResult


class Sweep(Callback):
    """Callback of Hydra that reports the runs of a sweep as they end."""

    def __init__(self) -> None:
        self.failed = False  # whether any run has: Hydra does not call `on_multirun_end` then

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        """Write `sweep.csv` in the folder of the sweep, with all runs that have ended so far.

        It reports why a run failed. Once a run has failed, it prints the table as well, because
        this run may be the last.

        Args:
            config: options of the run, with Hydra's own.
            job_return: result of the run.
            **kwargs: further values of Hydra, not used.
        """
        if config.hydra.mode == RunMode.MULTIRUN:
            if job_return.status == JobStatus.FAILED:
                self.failed = True
                _tell(config, job_return._return_value)
            if self.failed:
                self.on_multirun_end(config)
            else:
                _write(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Write `sweep.csv` again, in case runs ended at the same time, and print the table.

        Args:
            config: options of the sweep, with Hydra's own.
            **kwargs: further values of Hydra, not used.
        """
        folder = Path(config.hydra.sweep.dir).absolute()
        if jobs := _write(folder):
            rich.print(table(jobs))
        print(f"sweep: {short(folder / 'sweep.csv')}")


def _tell(config: DictConfig, error: BaseException) -> None:
    """Report why a run failed, and keep that in its folder."""
    sentence = sentence_of(error)
    folder = Path(config.hydra.runtime.output_dir)
    if not isinstance(error, OccupiedError):  # else the folder is another's
        with atomic_open(folder / ERROR) as file:
            file.write((sentence or "".join(traceback.format_exception(error))).encode())
    why = sentence or f"{type(error).__name__}: {error}, see {short(folder / ERROR)}"
    print(f"mllc: run {config.hydra.job.num} failed: {why}", file=sys.stderr)


def _write(folder: Path) -> list[Job]:
    jobs = read(folder)
    write_csv(folder / "sweep.csv", HEADER, map(_line, jobs))
    return jobs


def read(folder: Path) -> list[Job]:
    """Read the results of the runs in a folder.

    Args:
        folder: folder of the sweep.

    Returns:
        One job per method of each run, in the order of the runs.
    """
    places = (file.parent for file in folder.rglob(RUN))
    commands = {
        place: shlex.split((place / COMMAND).read_text(encoding="utf-8"))[2:]
        for place in sorted(places, key=lambda p: (len(p.name), p))  # 2, 10
    }
    shared = set.intersection(*map(set, commands.values())) if commands else set()
    varied, jobs = _varied(folder), []
    for place, options in commands.items():
        seed = str(read_run(place).seed)
        own = tuple(
            o for o in options if (o not in shared or _name(o) in varied) and _name(o) not in ASIDE
        )
        jobs += [
            Job(place.relative_to(folder), own, seed, TrainingResult.load(file))
            for file in sorted(place.glob("*/result.json"))
        ]
    return jobs


def _varied(folder: Path) -> set[str]:
    """The options that the command of a sweep gives several values."""
    file = folder / "multirun.yaml"  # of Hydra
    overrides = OmegaConf.load(file).hydra.overrides.task if file.exists() else []
    options = OverridesParser.create().parse_overrides(list(overrides))
    return {_name(option.input_line or "") for option in options if option.is_sweep_override()}


def _name(option: str) -> str:
    return option.split("=")[0]


def table(jobs: list[Job]) -> Table:
    """Build a table of means and standard deviations over seeds, the best last mIoU first.

    For the teacher's labels, it has the mean mIoU before correction and after the last round.

    Args:
        jobs: all jobs of a sweep.
    """
    groups: dict[tuple[tuple[str, ...], str], dict[str, TrainingResult]] = defaultdict(dict)
    for job in jobs:  # a list of options that was changed may have trained a seed twice
        groups[job.options, job.run.name][job.seed] = job.run
    shown = plain_table("options", "method", "seeds", "last mIoU", "best mIoU", "label mIoU")
    each = [(*key, list(runs.values())) for key, runs in groups.items()]
    order = sorted(each, key=lambda group: -mean(run.last_miou for run in group[2]))
    for options, method, runs in order:
        figures = [spread([getattr(r, key) for r in runs]) for key in ("last_miou", "best_miou")]
        rounds = [mean(shares) for shares in zip(*(run.label_miou for run in runs), strict=True)]
        ends = rounds[:: max(1, len(rounds) - 1)]  # before correction, and after the last round
        cells = ("\n".join(options), method, str(len(runs)), *figures, chain(ends))
        shown.add_row(*map(Text, cells))
    return shown


def _line(job: Job) -> tuple[object, ...]:
    run = job.run
    last, best, *labels = (
        f"{share:.4f}" for share in (run.last_miou, run.best_miou, *run.label_miou)
    )
    figures = (last, best, run.best_step, " ".join(labels), f"{run.seconds:.0f}")
    return job.folder, run.name, " ".join(job.options), job.seed, *figures
