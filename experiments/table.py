"""Print a table of runs in Markdown, and draw it: mean and spread over seeds.

python -m experiments.table methods --rows voc_54
python -m experiments.table methods --rows voc_54 --over voc_54_supervised
python -m experiments.table methods --rows voc_54 --over voc_54_fixmatch voc_54_unimatch

Reads `experiments/<table>/<table>.csv`, which `experiments.run` writes; rows come in the order of
the last mIoU. Runs whose options were changed on the command line are left out, unless
`--changed`. The spread is the standard deviation over seeds. Writes a figure beside the CSV. With
`--over`, prints seed by seed what each row gains over that one, the teacher's corrected labels too;
with several such rows the means alone, of students.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from experiments.job import lines_of, named
from pyg_mllc.visualization.report import tables

HERE = Path(__file__).parent
CORRECTED = ": the teacher, corrected", ", correct=true"  # what figures of no student are called
HEAD = ("row", "seeds", "last", "best", "teacher's labels: accuracy", "mIoU", "commit")


def read(path: Path, rows: list[str], changed: bool = False) -> dict[str, list[dict[str, str]]]:
    """Read the runs of selected rows, see `named`, the best row last."""
    runs, lines = defaultdict[str, list[dict[str, str]]](list), lines_of(path)
    chosen = named({line["config"].split("/")[1] for line in lines}, rows)
    for line in lines:
        row = line["config"].split("/")[1]
        name = f"{row} {line['overrides']}".strip()
        if row not in chosen or (line["overrides"] and not changed):
            continue
        if any(run["seed"] == line["seed"] for run in runs[name]):
            raise SystemExit(f"{path} holds two lines of {name}, seed {line['seed']}: take one out")
        runs[name].append(line)
    return dict(sorted(runs.items(), key=lambda item: mean(_numbers(item[1], "miou_last"))))


def _numbers(runs: list[dict[str, str]], column: str) -> list[float]:
    return [float(run[column]) for run in runs]


def spread(values: list[float], sign: str = "") -> str:
    """Format the mean and, of two values or more, the standard deviation."""
    return tables.spread([value / 100 for value in values], sign)


def _rounds(runs: list[dict[str, str]], column: str) -> str:
    """Format means before correction and after each round."""
    each = zip(*([float(v) for v in run[column].split()] for run in runs), strict=True)
    return tables.chain([mean(values) / 100 for values in each])


def line(name: str, runs: list[dict[str, str]]) -> tuple[str, ...]:
    """Build the line of a row."""
    return (
        name,
        str(len(runs)),
        spread(_numbers(runs, "miou_last")),
        spread(_numbers(runs, "miou_best")),
        _rounds(runs, "label_accuracy"),
        _rounds(runs, "label_miou"),
        ", ".join(sorted({run["commit"] for run in runs})),
    )


def figures(table: dict[str, list[dict[str, str]]]) -> dict[str, dict[str, float]]:
    """Return mIoU by row and seed: of the student, and of the teacher's corrected labels."""
    values = {}
    for name, runs in reversed(table.items()):
        values[name] = {run["seed"]: float(run["miou_last"]) for run in runs}
        rounds = {run["seed"]: run["label_miou"].split() for run in runs}
        if all(len(r) > 1 for r in rounds.values()):
            values[f"{name}{CORRECTED[0]}"] = {s: float(r[-1]) for s, r in rounds.items()}
    return values


def _gained(miou: dict[str, dict[str, float]], base: str) -> dict[str, dict[str, float]]:
    """Compute the gain over `base` by row, the largest mean first, and by seed."""
    start = miou[base]
    more = {
        name: {seed: values[seed] - start[seed] for seed in values if seed in start}
        for name, values in miou.items()
    }
    return {
        n: more[n] for n in sorted(filter(more.get, more), key=lambda n: -mean(more[n].values()))
    }


def over(miou: dict[str, dict[str, float]], bases: Sequence[str]) -> Iterator[str]:
    """Build the lines of `--over`: `gains` over one row, or `leads` over several."""
    for base in bases:
        if base not in miou:
            raise SystemExit(f"--over {base} is not in the table; there are: {', '.join(miou)}")
    return leads(miou, bases) if len(bases) > 1 else gains(miou, bases[0])


def gains(miou: dict[str, dict[str, float]], base: str) -> Iterator[str]:
    """Build a table of the gain of each row over `base`, seed by seed, largest mean first."""
    start, more = dict(sorted(miou[base].items())), _gained(miou, base)
    yield f"| mIoU (%), gain over {base} | {' | '.join(f'seed {s}' for s in start)} | mean gain |"
    yield "|" + " --- |" * (2 + len(start))
    for name in more:
        told = {s: f"{miou[name][s]:.1f} ({gain:+z.1f})" for s, gain in more[name].items()}
        cells = [name, *(told.get(s, "") for s in start), spread(list(more[name].values()), "+")]
        yield f"| {' | '.join(cells)} |"


def leads(miou: dict[str, dict[str, float]], bases: Sequence[str]) -> Iterator[str]:
    """Build a table of the mean gain of each student over each of `bases`, largest first."""
    more = [_gained(miou, base) for base in bases]
    yield f"| mIoU (points), mean lead over | {' | '.join(bases)} |"
    yield "|" + " --- |" * (1 + len(bases))
    for name in more[0]:
        if not name.endswith(CORRECTED):
            each = (list(gained.get(name, {}).values()) for gained in more)
            means = (spread(values, "+") if values else "" for values in each)
            yield f"| {name} | {' | '.join(means)} |"


def draw(table: dict[str, list[dict[str, str]]], path: Path) -> None:
    """Draw mIoU of each run as its seed number, with bars at means."""
    figure = Figure((7, 1.1 + 0.3 * len(table)), dpi=150, layout="constrained")
    axis, place_of = figure.subplots(), {name: place for place, name in enumerate(table)}
    kinds = {"": (0.17, "C0", "the student"), CORRECTED[0]: (-0.17, "C1", "the teacher, corrected")}
    for name, values in figures(table).items():
        end = CORRECTED[0] if name.endswith(CORRECTED[0]) else ""
        shift, color, _ = kinds[end]
        height = place_of[name.removesuffix(end)] + shift
        if len(values) > 1:
            axis.plot([mean(values.values())], [height], "|", color=color, ms=11, mew=2, alpha=0.5)
        for seed, value in values.items():
            axis.plot([value], [height], marker=f"${seed}$", color=color, ms=6, mew=0.3)
    for _, color, label in kinds.values():
        axis.plot([], [], ls="", marker="$0$", color=color, label=f"{label}, by seed")
    if any(len(runs) > 1 for runs in table.values()):
        axis.plot([], [], "|", color="gray", ms=11, mew=2, label="mean over seeds")
    axis.set_yticks(range(len(table)), list(table))
    axis.set_ylim(-0.6, len(table) - 0.4)
    axis.set_xlabel("mIoU at the last step (%)")
    figure.legend(loc="outside upper right", ncols=3, fontsize=8, frameon=False)
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> None:
    """Print and draw the rows that the command line selects."""
    parser = argparse.ArgumentParser(
        description=f"{__doc__.splitlines()[0]} The figure is put beside the CSV."
    )
    parser.add_argument("table", help="table of experiments")
    parser.add_argument(
        "--rows",
        nargs="+",
        action="extend",
        default=[],
        help="only rows that are called so, or hold such a word",
    )
    parser.add_argument("--changed", action="store_true", help="runs with changed options, too")
    parser.add_argument("--over", nargs="+", help="rows that gains are counted from")
    parser.add_argument("--csv", help="file, by default experiments/<table>/<table>.csv")
    args = parser.parse_args()
    path = Path(args.csv) if args.csv else HERE / args.table / f"{args.table}.csv"
    if not path.is_file():
        raise SystemExit(f"{path} is not there; a table is a folder of experiments with its CSV")
    table = read(path, args.rows, args.changed)
    if not table:
        raise SystemExit(f"{path} has only runs of changed options there, which --changed prints")
    print("|", " | ".join(HEAD), "|")
    print("|", " | ".join("---" for _ in HEAD), "|")
    for name, runs in reversed(table.items()):
        print("|", " | ".join(line(name, runs)), "|")
    if args.over:
        print("", *over(figures(table), args.over), sep="\n")
    if not args.changed:  # whose names are too long for a figure
        figure = path.parent / f"{'_'.join([path.stem, *args.rows])}.png"
        draw(table, figure)
        print(f"drawn: {figure}", file=sys.stderr)


if __name__ == "__main__":
    main()
