"""`mllc data check`: read a data set as training would, and report problems."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import rich
from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.config_checks import check_choices
from pyg_mllc.cli.data_info import swatch
from pyg_mllc.cli.errors import one_sentence, short
from pyg_mllc.cli.progress import bar
from pyg_mllc.cli.trusted_config import checked_parts, trusted
from pyg_mllc.utils.io import atomic_open

if TYPE_CHECKING:
    from pyg_mllc.data import DatasetSpec, Splits
    from pyg_mllc.data.sanity_check import SampleReport
    from pyg_mllc.methods import Method

SHOWN = 5  # problems of a kind that the terminal shows


@hydra_command("check")
def check(cfg: DictConfig) -> None:
    """Read what training would read; exit with code 1 if anything would hurt it."""
    with one_sentence():
        problems = _check(cfg)
    if problems:
        sys.exit(1)


def _check(cfg: DictConfig) -> int:
    """Number of problems."""
    from pyg_mllc.data.sanity_check import (
        find_labeling_problems,
        find_sample_problems,
        inspect_samples,
    )
    from pyg_mllc.utils.instantiate import make
    from pyg_mllc.utils.targets import packages, resolve

    check_choices(cfg)
    allow = trusted(cfg)
    parts = checked_parts(cfg, allow, built=("data",))
    begun = time.perf_counter()
    with _warnings() as (warned, notes):
        splits = make(parts["data"], "data")
    total = len(splits.labeled) + len(splits.unlabeled) + len(splits.val)
    seen = []
    with bar("reading", total, sys.stdout.isatty()) as advance:
        for report in inspect_samples(splits):
            seen.append(report)
            advance(1)
    problems, more = find_sample_problems(seen, splits.labeled.size, bool(cfg.data.get("overlap")))
    of_labels, doubts = find_labeling_problems(seen, splits)
    seconds = time.perf_counter() - begun
    problems = warned | problems | of_labels
    if not len(splits.unlabeled):
        target = parts["method"]["_target_"]
        method = cast("type[Method]", resolve(target, packages(allow), "method"))
        if method.uses_unlabeled:
            problems["unlabeled images, of which there are none"] = [
                f"{method.__name__} learns from unlabeled images: add some, "
                "or take method=supervised."
            ]
    rich.print(_parts(seen), _classes(seen, splits.spec))
    print(f"{total:,} images in {seconds:.1f} s, {1000 * seconds / total:.1f} s per thousand")
    notes += [*more, *doubts]
    _print_problems(problems, notes)
    lines = [f"{kind}: {text}" for kind, sentences in problems.items() for text in sentences]
    lines += [f"note: {note}" for note in notes]
    out = Path(cfg.output) / splits.spec.name
    _write(out / "problems.txt", "".join(f"{line}\n" for line in lines).encode())
    if sheet := _sheet(splits, seen):
        _write(out / "sheet.png", sheet)
        print(f"masks over images: {short(out / 'sheet.png')}")
    count = sum(map(len, problems.values()))
    plural = "s" * (count != 1)
    summary = f"{count} problem{plural}" if count else "nothing that would hurt training"
    rich.print(f"[bold]{summary}[/]")
    return count


def _print_problems(problems: dict[str, list[str]], notes: list[str]) -> None:
    for kind, sentences in problems.items():
        rich.print(f"[bold red]{kind}: {len(sentences)}[/]")
        _some([f"  {escape(sentence)}" for sentence in sentences])
    _some([f"[yellow]note:[/] {escape(note)}" for note in notes])


def _some(lines: list[str]) -> None:
    for line in lines[:SHOWN]:
        rich.print(line)
    if len(lines) > SHOWN:
        print(f"  ... and {len(lines) - SHOWN} more, see problems.txt beside the sheet")


@contextmanager
def _warnings() -> Iterator[tuple[dict[str, list[str]], list[str]]]:
    """Collect what is warned of: problems by the kind that the warning names, and notes."""
    problems: dict[str, list[str]] = {}
    notes: list[str] = []

    def emit(record: logging.LogRecord) -> None:
        kind = getattr(record, "problem", None)
        (problems.setdefault(kind, []) if kind else notes).append(record.getMessage())

    handler = logging.Handler()
    handler.emit = emit  # type: ignore[method-assign]
    logger = logging.getLogger("pyg_mllc.data")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield problems, notes
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def _parts(seen: list["SampleReport"]) -> Table:
    from pyg_mllc.data.sanity_check import PARTS, common_sizes

    table = Table("", "images", "height x width")
    for part in PARTS:
        own = [report for report in seen if report.part == part]
        table.add_row(part, str(len(own)), common_sizes(own))
    return table


def _classes(seen: list["SampleReport"], spec: "DatasetSpec") -> Table:
    """Build the table of the classes' shares of the labeled pixels."""
    import numpy as np

    table, columns = Table("class", ""), []
    for part in ("labeled", "val"):
        reports = [report for report in seen if report.part == part]
        pixels = [report.pixels for report in reports if report.pixels is not None]
        counts = np.stack([*pixels, np.zeros(spec.num_classes, dtype=int)])
        columns.append((counts.sum(0) / max(1, counts.sum()), (counts > 0).sum(0)))
        table.add_column(f"{part} %", justify="right")
        table.add_column("images", justify="right")
    for label, name in enumerate(spec.classes):
        cells = [
            text
            for share, images in columns
            for text in (f"{100 * share[label]:.2f}", str(images[label]))
        ]
        table.add_row(f"{label} {name}", swatch(spec.colors[label]), *cells)
    return table


def _sheet(splits: "Splits", seen: list["SampleReport"]) -> bytes:
    """Samples that can be read, evenly spaced, as PNG; empty without any."""
    from pyg_mllc.utils.sampling import evenly_spaced
    from pyg_mllc.visualization.samples import sample_sheet

    samples = []
    for part, count in (("labeled", 8), ("val", 4), ("unlabeled", 4)):
        own = [report for report in seen if report.part == part]
        good = [place for place, report in enumerate(own) if not report.problem]
        for place in evenly_spaced(len(good), count):
            sample = getattr(splits, part)[good[place]]
            samples.append((f"{part}: {sample['name']}", sample))
    stream = BytesIO()
    if samples:
        sample_sheet(samples, splits.spec).savefig(stream, format="png")
    return stream.getvalue()


def _write(path: Path, content: bytes) -> None:
    with atomic_open(path) as file:
        file.write(content)
