import math
import os
import re
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import torch
from rich.console import Console

from pyg_mllc.data import IGNORE
from pyg_mllc.errors import InputError
from pyg_mllc.pictures import CHANGES, VOID, draw_changes, draw_label, example_figure
from pyg_mllc.report import comparison_table, write_report
from pyg_mllc.results import Example, Run

CLASSES = ["sky", "<b>road</b>"]
COLORS = [(10, 20, 30), (200, 100, 0)]
SUPERVISED = Run(
    "supervised",
    [{"step": 1, "loss": 2.0}, {"step": 2, "miou": 0.4567, "loss": 1.0}, {"step": 3, "miou": 0.4}],
    [0.5123, math.nan],
    [],
    [],
    61.4,
)
CORRECTED = Run(
    "mllc [2 rounds]",
    [{"step": 10 * i, "loss": 1 / i, "trusted": 0.5, "miou": i / 200} for i in range(1, 101)],
    [0.6, 0.7],
    [0.7, 0.80125, 0.9],
    [0.5, 0.6, 0.5555],
    1234.5,
)
EXAMPLE = Example(
    "street_1",
    torch.full((3, 2, 3), 55, dtype=torch.uint8),
    truth=torch.tensor([[0, 0, 1], [IGNORE, 1, 0]]),
    before=torch.tensor([[1, 0, 0], [0, 1, 1]]),
    after=torch.tensor([[0, 1, 0], [1, 1, 0]]),
    confidence=torch.linspace(0, 1, 6).reshape(2, 3),
)


def write(path, runs=(SUPERVISED, CORRECTED), examples=(EXAMPLE,), title="Report", facts=None):
    write_report(path, title, runs, examples, CLASSES, COLORS, facts or {})
    return path.read_text(encoding="utf-8")


def terminal(runs, width=200):
    console = Console(file=StringIO(), width=width)
    console.print(comparison_table(runs))
    return console.file.getvalue()


def test_run_reads_its_validations():
    assert (SUPERVISED.last_miou, SUPERVISED.best_miou, SUPERVISED.best_step) == (0.4, 0.4567, 2)
    assert (CORRECTED.last_miou, CORRECTED.best_step) == (0.5, 1000)


def test_run_without_validation():
    run = replace(SUPERVISED, history=[{"step": 1, "loss": 1.0}, {"step": 2, "miou": math.nan}])
    assert math.isnan(run.last_miou) and math.isnan(run.best_miou) and run.best_step is None


def test_report_shows_the_figures_of_each_method(tmp_path):
    html = write(tmp_path / "report.html")
    for shown in (
        *("supervised", "40.0", "45.7 (step 2)", "61"),
        *("mllc [2 rounds]", "50.0 (step 1,000)", "1,234"),
        *("70.00 → 80.12 → 90.00 (+20.00)", "50.0 → 60.0 → 55.5 (+5.5)"),
    ):
        assert shown in html


def test_terminal_shows_them_in_80_columns():
    table = terminal([SUPERVISED, replace(CORRECTED, name="[mllc]")], width=80)
    assert len(table.strip().splitlines()) == 4  # head, rule, and one line a method
    for shown in ("45.7 @2", "[mllc]", "70.0 → 80.1 → 90.0", "1,234"):
        assert shown in table


def test_zero_rounds_show_no_gain():
    table = terminal([replace(CORRECTED, label_accuracy=[0.7], label_miou=[0.6])])
    assert "70.0" in table and "(+" not in table


def test_report_needs_no_other_file(tmp_path):
    html = write(tmp_path / "new" / "folder" / "report.html")
    assert os.listdir(tmp_path / "new" / "folder") == ["report.html"]
    sources = re.findall(r'src="([^"]*)"', html)
    assert len(sources) == 3 + 6  # three charts; one row of the gallery
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"https?:|<link|<script|@import|url\(|href=", html)


def test_report_shows_class_iou_and_example(tmp_path):
    html = write(tmp_path / "report.html", facts={"Machine": "2 cores"})
    for shown in ("51.2", "n/a", "width:60.0%", "street_1", "16.7% void", "40.00% right",
                  "60.00% right (+20.00)", "2 mended, 1 spoiled, 0 still wrong", "mean 0.50",
                  "<dt>Machine</dt><dd>2 cores</dd>"):  # fmt: skip
        assert shown in html


def test_text_is_escaped(tmp_path):
    runs = [replace(SUPERVISED, name="<i>$run$</i>")]
    examples = [replace(EXAMPLE, name='"><img src=x>')]
    html = write(tmp_path / "report.html", runs, examples, "a < b", {"<u>": "<s>&"})
    assert "&lt;b&gt;road&lt;/b&gt;" in html and "a &lt; b" in html and "&lt;s&gt;&amp;" in html
    assert not re.search(r"<[ius]>|<b>road|<img src=x>", html)


@pytest.mark.parametrize(
    "runs",
    [[], [SUPERVISED], [replace(SUPERVISED, history=[], class_iou=[])], [CORRECTED] * 9],
    ids=["none", "one", "blank", "nine"],
)
def test_any_number_of_runs_without_examples(tmp_path, runs):
    html = write(tmp_path / "report.html", runs, [])
    assert html.count('<td data-column="method">') == len(runs)
    assert "before and after correction</h2>" not in html


def test_changes_are_painted_pixel_by_pixel():
    faded = (175, 175, 175)  # 255 - 0.4 * (255 - 55)
    mended, spoiled, still_wrong = CHANGES.values()
    expected = [[mended, spoiled, faded], [faded, faded, mended]]  # void is not judged
    assert draw_changes(EXAMPLE).tolist() == np.array(expected).tolist()

    other = replace(EXAMPLE, truth=torch.full((2, 3), 2))
    expected = [[still_wrong, still_wrong, faded], [still_wrong, faded, still_wrong]]
    assert draw_changes(other).tolist() == np.array(expected).tolist()


def test_label_is_painted_in_its_colors_and_void_in_stripes():
    picture = draw_label(torch.tensor([[0, 1, IGNORE], [IGNORE, IGNORE, IGNORE]]), COLORS)
    expected = [[COLORS[0], COLORS[1], VOID[1]], [VOID[0], VOID[1], VOID[1]]]
    assert picture.tolist() == np.array(expected).tolist()


def test_image_of_void_only(tmp_path):
    void = replace(EXAMPLE, truth=torch.full((2, 3), IGNORE))
    html = write(tmp_path / "report.html", [], [void])
    assert "100.0% void" in html and html.count("<figcaption>n/a</figcaption>") == 2


@pytest.mark.parametrize("failing", ["pathlib.Path.write_text", "os.replace"])
def test_failing_write_leaves_the_old_report(tmp_path, monkeypatch, failing):
    old = write(tmp_path / "report.html", [], [])

    def fail(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(failing, fail)
        write(tmp_path / "report.html", [], [], title="New")
    assert os.listdir(tmp_path) == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == old


def test_example_figure_can_be_saved(tmp_path):
    wide = replace(EXAMPLE, image=EXAMPLE.image[:, :1], truth=EXAMPLE.truth[:1],
                   before=EXAMPLE.before[:1], after=EXAMPLE.after[:1],
                   confidence=EXAMPLE.confidence[:1])  # fmt: skip
    figure = example_figure([EXAMPLE, wide], CLASSES, COLORS)
    figure.savefig(tmp_path / "examples.png")
    titles = [axis.get_title() for axis in figure.axes[:5]]
    assert titles == ["image", "truth", "label before", "label after", "confidence"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*CLASSES, "void"]


def test_errors_say_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="at least one example"):
        example_figure([], CLASSES, COLORS)
    with pytest.raises(InputError, match="1 colors, but 2 classes"):
        example_figure([EXAMPLE], CLASSES, COLORS[:1])
    with pytest.raises(InputError, match="1 class IoUs of run 'supervised', but 2 classes"):
        write(tmp_path / "report.html", [replace(SUPERVISED, class_iou=[0.5])])
