"""Train the rows of a table, each with several seeds; add a line to its CSV as each run finishes.

MLLC_DATA=path/to/data python -m experiments.run methods --jobs 2

A row is an entry of `configs/table/<table>.yaml`. Runs that are in the CSV are left out,
and stopped ones go on; with `--networks`, runs of the CSV are trained, too, if their networks are
not here, and add no line. Each job has one thread. Ctrl-C and SIGTERM stop all trainings, which
keep what they have.
"""

import argparse
import csv
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import product
from pathlib import Path
from threading import Event, Lock
from typing import Any, TextIO, cast

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from experiments.job import Job, lines_of, rows, tables
from pyg_mllc.cli.composition import composing
from pyg_mllc.cli.run_dir import RUN, alone, check_format, read_run
from pyg_mllc.visualization.examples import percent

HERE = Path(__file__).parent
PARTS = ("data", "model", "corrector", "method", "optimizer", "scheduler", "trainer")
QUIET = "trainer.enable_progress_bar=false"
COMPOSING = Lock()  # Hydra composes one configuration at a time
FIELDS = (
    "config overrides seed labeled split steps miou_last miou_best best_step label_accuracy "
    "label_miou class_iou seconds step_seconds peak_mb commit versions machine date"
).split()


def train(job: Job, stop: Event) -> None:
    """Train in a separate process, or resume; when `stop` is set, save and end.

    Raises:
        InputError: if another process trains in the folder, or an earlier version did.
        ValueError: if it fails or is stopped, or the folder holds a run of other options.
    """
    kept = job.folder / RUN
    job.folder.mkdir(parents=True, exist_ok=True)
    with alone(job.folder):  # which the training holds next
        if kept.exists():
            earlier = read_run(job.folder)
            check_format(earlier, job.folder)
            _compare(job, earlier)
        if job.ended:
            return  # but its line was not written
    if kept.exists() and list(job.folder.glob("*/last.ckpt")):
        options = [f"resume={job.folder}", QUIET, "allow=[experiments]"]
    else:
        options = [*_options(job), f"output={job.folder}", "overwrite=true"]
    with (job.folder / "log.txt").open("a") as log:
        child = start(options, log)
        while child.poll() is None:
            if stop.wait(timeout=0.5):
                child.terminate()
                child.wait()
    if child.returncode:
        last = (job.folder / "log.txt").read_text().splitlines()[-1:]
        raise ValueError(f"{job.folder}/log.txt ends with: {''.join(last)}")


def start(options: list[str], log: TextIO) -> subprocess.Popen:
    """Start `mllc train` with one thread, shielded from Ctrl-C in this process."""
    return subprocess.Popen(
        [sys.executable, "-m", "pyg_mllc.cli", "train", *options],
        stdout=log,
        stderr=log,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def _options(job: Job) -> list[str]:
    return [
        f"experiment={job.config}",
        *job.overrides,
        f"seed={job.seed}",
        f"data.root={job.root}",
        QUIET,
    ]


def _compare(job: Job, kept: Any) -> None:
    """Raise if a folder was trained on other images, or before the row was changed."""
    root = job.root
    if Path(kept.data.root).resolve() != root.resolve():
        raise ValueError(f"{job.folder} was trained on other images than {root}: move it away")
    now, default = _composed(_options(job))
    for part in PARTS:
        was, row, usual = (
            cast(dict[str, Any], OmegaConf.to_container(config[part], resolve=True))
            for config in (kept, now, default)
        )
        for key in (was.keys() | row.keys()) - {"root"}:  # compared above
            # An option that is newer than the run: its default is what the run did.
            before = was[key] if key in was else usual.get(key)
            if key not in row or before != row[key]:
                raise ValueError(
                    f"{job.folder} was trained with {part}.{key}={before}, and {job.config} has "
                    f"{row.get(key, 'no such option')} now: move it away"
                )


def _composed(options: list[str]) -> tuple[DictConfig, DictConfig]:
    """Compose the configuration of options, and the same parts without the experiment."""
    with COMPOSING, composing():
        config = compose("train", options, return_hydra_config=True)
        groups = config.hydra.runtime.choices
        usual = compose("train", [f"{part}={groups[part]}" for part in PARTS])
        return config, usual


def line_of(job: Job) -> dict[str, str]:
    """Build the CSV line of a run that has ended."""
    result = job.result
    options = read_run(job.folder)

    def percents(shares: Iterable[float], digits: int = 2) -> str:
        return " ".join(percent(share, digits) for share in shares)

    return {
        **_name(job),
        "overrides": " ".join(job.overrides),
        "labeled": str(options.data.labeled or "all"),
        "steps": str(options.trainer.max_steps),
        "miou_last": percents([result.last_miou]),
        "miou_best": percents([result.best_miou]),
        "best_step": str(result.best_step),
        "label_accuracy": percents(result.label_accuracy),
        "label_miou": percents(result.label_miou),
        "class_iou": percents(result.class_iou, 1),
        "seconds": f"{result.seconds:.0f}",
        "step_seconds": f"{result.step_seconds:.3f}",
        "peak_mb": f"{result.peak_mb:.0f}",
        "commit": job.commit,
        **{name: "; ".join(result.provenance[name]) for name in ("versions", "machine", "date")},
    }


def done(path: Path) -> set[tuple[str, ...]]:
    """Return the keys of the runs in a CSV, see `_key`."""
    return {_key(line, line["overrides"].split()) for line in lines_of(path)}


def _key(line: dict[str, str], overrides: Iterable[str]) -> tuple[str, ...]:
    """Return the identity of a run, independent of order and spelling of its options."""
    return line["config"], line["seed"], line["split"], *sorted(map(_plain, overrides))


@cache
def _plain(option: str) -> str:
    """Format an option as Hydra reads it: `lr=1e-4` becomes `lr=0.0001`."""
    [override] = OverridesParser.create().parse_overrides([option])
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def _name(job: Job) -> dict[str, str]:
    """Return the columns that identify a run, without its options."""
    return {"config": job.config, "seed": str(job.seed), "split": job.split}


def add(path: Path, job: Job) -> None:
    """Append the line of a run to a CSV, unless another process has done so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if _key(_name(job), job.overrides) in done(path):
            return
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if not path.stat().st_size:
            writer.writeheader()
        writer.writerow(line_of(job))


def run(jobs: Iterable[Job], path: Path, parallel: int, networks: bool = False) -> None:
    """Train the jobs that a CSV lacks; with `networks`, also those whose network is missing here.

    A job that the CSV already holds adds no second line.
    """
    todo, stop, known = [], Event(), done(path)
    for job in dict.fromkeys(jobs):
        if any(character.isspace() for option in job.overrides for character in option):
            raise SystemExit(f"options with spaces have no place in {path.name}: {job.overrides}")
        if _key(_name(job), job.overrides) not in known or (networks and not job.ended):
            todo.append(job)
        else:
            print(job.config, *job.overrides, "seed", job.seed, "is in", path.name)

    def one(job: Job) -> None:
        try:
            train(job, stop)
        except Exception as error:
            word = "stopped" if stop.is_set() else "failed"
            print(f"{word}: {error}", file=sys.stderr, flush=True)
            raise
        add(path, job)
        line = line_of(job)
        print(
            job.config, *job.overrides, job.seed, line["miou_last"], line["miou_best"], flush=True
        )

    pool = ThreadPoolExecutor(parallel)
    futures = [pool.submit(one, job) for job in todo]
    try:
        wait(futures)
    finally:
        stop.set()  # Ctrl-C or SIGTERM came, or all has ended
        pool.shutdown(cancel_futures=True)
    failed = [str(future.exception()) for future in futures if future.exception()]
    if failed:
        raise SystemExit("\n".join([f"{len(failed)} of {len(todo)} runs failed:", *failed]))


def choices(option: str) -> list[str]:
    """Expand an option to one per value, as Hydra reads `option=value,value`.

    >>> choices("corrector.blend=[0.2, 0.8],[0.5, 0.5]")
    ['corrector.blend=[0.2,0.8]', 'corrector.blend=[0.5,0.5]']
    """
    try:
        [override] = OverridesParser.create().parse_overrides([option])
    except OverrideParseException as error:
        raise SystemExit(f"expected option=value, or option=value,value, got {option}") from error
    if not override.is_sweep_override():
        return [f"{override.get_key_element()}={override.get_value_string()}"]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def main() -> None:
    """Train the runs that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", help="table of experiments")
    parser.add_argument(
        "--rows",
        nargs="+",
        action="extend",
        default=[],
        help="only rows that are called so, or hold such a word",
    )
    parser.add_argument("--seeds", nargs="+", type=int, action="extend", help="by default 0 1 2")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        help="options, lists of them separated by ,",
    )
    parser.add_argument(
        "--networks", action="store_true", help="train what the CSV holds, too, if it is not here"
    )
    parser.add_argument(
        "--held-out", action="store_true", help="on training images, part of which are held out"
    )
    parser.add_argument("--csv", help="file, by default experiments/<table>/<table>.csv")
    args = parser.parse_args()
    if args.held_out and not args.csv:
        parser.error("--held-out needs --csv, for these runs belong in no table of the validation")
    if args.table not in tables():
        raise SystemExit(f"no table is called {args.table}; there are {', '.join(tables())}")
    seeds, chosen = args.seeds or [0, 1, 2], rows(args.table, args.rows)
    jobs = [
        Job(row, overrides, seed, args.held_out)
        for seed, row, overrides in product(seeds, chosen, product(*map(choices, args.set)))
    ]
    if args.jobs < 1:
        parser.error(f"--jobs {args.jobs} trains nothing: give 1 or more")
    path = Path(args.csv) if args.csv else HERE / args.table / f"{Path(args.table).name}.csv"
    if path.is_dir():
        parser.error(f"--csv {path} is a folder: give a file")
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, lambda *_: sys.exit("stopped; the same command goes on"))
    run(jobs, path, args.jobs, args.networks)


if __name__ == "__main__":
    main()
