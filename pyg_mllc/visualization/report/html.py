"""Self-contained HTML report."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pyg_mllc.evaluation.results import Evaluation, TrainingResult
from pyg_mllc.utils.io import atomic_open
from pyg_mllc.visualization.examples import (
    CHANGES,
    CONFIDENCE,
    VOID,
    Color,
    check_one_each,
    percent,
)
from pyg_mllc.visualization.report.charts import (
    CHARTS,
    RUN_COLORS,
    confusion_figure,
    curves_figure,
    reliability_figure,
    stage_colors,
)
from pyg_mllc.visualization.report.gallery import data_uri, gallery, images_table
from pyg_mllc.visualization.report.tables import run_cells, stage_cells


def write_report(
    path: Path,
    title: str,
    runs: Sequence[TrainingResult],
    evaluation: Evaluation | None,
    classes: Sequence[str],
    colors: Sequence[Color],
    facts: Mapping[str, str],
) -> None:
    """Write an HTML report of facts, results, curves, effects of correction, and examples.

    All images are listed; selected ones are shown, see `ExampleSelector`. The file is written
    atomically.

    Args:
        path: Path of the file.
        title: Heading.
        runs: Trainings to compare, in the order of the table; may be empty.
        evaluation: Results on a whole split of the last run; None leaves them out.
        classes: Names of the C classes.
        colors: Colors of the C classes.
        facts: Origin of the results by name, such as data, seeds, versions, machine and command.

    Raises:
        InputError: If colors, or the class IoUs of a run, are not one per class.
        OSError: If the file cannot be written.
    """
    check_one_each(classes, "colors", colors)
    for run in runs:
        check_one_each(classes, f"class IoUs of run {run.name!r}", run.class_iou or classes)
    colored = list(zip(runs, cycle(RUN_COLORS), strict=False))
    stages = {} if evaluation is None else evaluation.stages
    staged = list(zip(stages.items(), stage_colors(len(stages)), strict=True))
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(autoescape=True, loader=loader, undefined=StrictUndefined, trim_blocks=True)
    html = page.get_template("report.html.j2").render(
        title=title,
        facts=facts,
        runs=[(run_cells(run), color) for run, color in colored],
        charts=[(name, curves_figure(runs, *chart)) for name, chart in CHARTS.items()],
        run_ious=[(r.name, r.class_iou, color) for r, color in colored if r.class_iou],
        classes=list(zip(classes, colors, strict=True)),
        stages=[(stage_cells(name, m), color) for (name, m), color in staged],
        stage_ious=[(name, m["class_iou"].tolist(), color) for (name, m), color in staged],
        stage_outlines=[(name, m["class_boundary_f"].tolist(), c) for (name, m), c in staged],
        matrices=[(name, confusion_figure(m, classes)) for name, m in stages.items()],
        reliability=reliability_figure(stages) if stages else None,
        gallery=gallery(evaluation.examples, colors) if evaluation else None,
        table=images_table(evaluation.images) if evaluation else None,
        changes=CHANGES,
        confidence=[CONFIDENCE(share / 8, bytes=True)[:3] for share in range(9)],
        void=VOID,
        percent=percent,
        data_uri=data_uri,
    )
    with atomic_open(path) as file:
        file.write(html.encode())
