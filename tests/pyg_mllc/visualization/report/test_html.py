import json
import math
import os
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO, StringIO

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pyg_mllc.errors import InputError
from pyg_mllc.evaluation.results import TrainingResult
from pyg_mllc.visualization.examples import CHANGES, draw_label
from pyg_mllc.visualization.report import comparison_table, write_report

CLASSES = ["sky", "<b>road</b>"]
COLORS = [(10, 20, 30), (200, 100, 0)]
HOSTILE = ("</script><script>alert(1)</script>", "<b>road</b>", "'\"&amp;${1+1}{{2}}")
COLORS3 = [(10, 20, 30), (200, 100, 0), (0, 90, 0)]
SUPERVISED = TrainingResult(
    "supervised",
    [{"step": 1, "loss": 2.0}, {"step": 2, "miou": 0.4567, "loss": 1.0}, {"step": 3, "miou": 0.4}],
    [0.5123, math.nan],
    [],
    [],
    61.4,
)
CORRECTED = TrainingResult(
    "mllc [2 rounds]",
    [{"step": 10 * i, "loss": 1 / i, "confident": 0.5, "miou": i / 200} for i in range(1, 101)],
    [0.6, 0.7],
    [0.7, 0.80125, 0.9],
    [0.5, 0.6, 0.5555],
    1234.5,
)


def write(path, runs=(SUPERVISED, CORRECTED), evaluation=None, title="Report", facts=None):
    classes, colors = (CLASSES, COLORS) if evaluation is None else (HOSTILE, COLORS3)
    write_report(path, title, runs, evaluation, classes, colors, facts or {})
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
    for shown in ("45.7 @2", "[mllc]", "50.0 → 60.0 → 55.5", "1,234"):
        assert shown in table


def test_a_network_without_training_has_no_curves(tmp_path):
    instant = replace(CORRECTED, name="instant", history=[{"step": 0.0, "miou": 0.5}])
    assert "Curves" not in write(tmp_path / "a.html", [instant])
    assert "Curves" in write(tmp_path / "b.html", [instant, SUPERVISED])


def test_zero_rounds_show_no_gain():
    table = terminal([replace(CORRECTED, label_accuracy=[0.7], label_miou=[0.6])])
    assert "60.0" in table and "70.0" not in table and "→" not in table


def test_a_gain_of_next_to_nothing_is_no_loss(tmp_path):
    run = replace(CORRECTED, label_accuracy=[0.70001, 0.7], label_miou=[0.60001, 0.6])
    html = write(tmp_path / "report.html", [run])
    assert "60.0 → 60.0 (+0.0)" in html and "-0.0" not in html


@pytest.mark.parametrize(
    "runs",
    [[], [SUPERVISED], [replace(SUPERVISED, history=[], class_iou=[])], [CORRECTED] * 9],
    ids=["none", "one", "blank", "nine"],
)
def test_any_number_of_runs_without_an_evaluation(tmp_path, runs):
    html = write(tmp_path / "report.html", runs)
    assert html.count('<td data-column="method">') == len(runs)
    assert "before and after correction</h2>" not in html and "<script" not in html


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace"])
def test_failing_write_leaves_the_old_report(tmp_path, monkeypatch, failing):
    old = write(tmp_path / "report.html", [])

    def fail(*args, **kwargs):
        raise OSError(28, "disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(failing, fail)
        write(tmp_path / "report.html", [], title="New")
    assert os.listdir(tmp_path) == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == old


def test_errors_say_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="1 colors, but 2 classes"):
        write_report(tmp_path / "report.html", "", [], None, CLASSES, COLORS[:1], {})
    with pytest.raises(InputError, match="1 class IoUs of run 'supervised', but 2 classes"):
        write(tmp_path / "report.html", [replace(SUPERVISED, class_iou=[0.5])])


class Outline(HTMLParser):
    """Checks that tags are closed in order; gathers attributes, headings and data."""

    def __init__(self, html):
        super().__init__()
        self.open, self.attributes, self.data, self.headings = [], [], {}, []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in ("meta", "link", "img", "input"):
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, text):
        tag, attrs = self.open[-1] if self.open else ("", {})
        if attrs.get("type") == "application/json":
            self.data[attrs["id"]] = json.loads(text)
        elif tag in ("h2", "h3"):
            self.headings.append(text)


def test_the_page_is_well_formed_needs_no_other_file_and_runs_no_name(tmp_path, evaluation):
    runs = [replace(SUPERVISED, name="<i>$run$</i>", class_iou=[])]
    html = write(tmp_path / "new" / "report.html", runs, evaluation, "a < b", {"<u>": "<s>&"})
    assert os.listdir(tmp_path / "new") == ["report.html"]
    page = Outline(html)
    assert set(HOSTILE) <= set(page.headings)
    assert html.count("<script") == 3 and "alert(1)</script>" not in html
    assert not re.search(r"<[iu]>|<s>|<b>road|https?:|@import|url\(", html)
    assert all(v.startswith("data:") for k, v in page.attributes if k in ("src", "href"))
    assert "default-src 'none'" in html  # what was missed, the browser would not load


def test_every_image_is_listed_and_the_worst_come_first(tmp_path, evaluation):
    data = Outline(write(tmp_path / "report.html", [], evaluation)).data
    table, gallery = data["images-data"], data["gallery-data"]
    assert [row[0] for row in table["rows"]] == [figures.name for figures in evaluation.images]
    names = [column["name"] for column in table["columns"]]
    for row, figures in zip(table["rows"], evaluation.images, strict=True):
        shown = dict(zip(names, row, strict=True))
        assert shown["accuracy_after"] == pytest.approx(figures.accuracy[1], abs=1e-4)
        assert shown["fixed"] == figures.fixed
    orders = dict(gallery["orders"])
    assert gallery["orders"][0][0] == "least right"
    right = [gallery["cards"][i]["figures"]["accuracy_after"] for i in orders["least right"]]
    assert right == sorted(right) and len(right) == 7
    gains = [
        gallery["cards"][i]["figures"]["fixed"] - gallery["cards"][i]["figures"]["broken"]
        for i in orders["most broken"]
    ]
    assert gains == sorted(gains)


def test_pictures_travel_inside_pixel_by_pixel(tmp_path, evaluation):
    cards = Outline(write(tmp_path / "report.html", [], evaluation)).data["gallery-data"]["cards"]
    for card, (_, example) in zip(cards, evaluation.examples, strict=True):
        pictures = {}
        for name, uri in card["pictures"].items():
            picture = Image.open(BytesIO(b64decode(uri.split(",")[1])))
            assert picture.size == (16, 12)
            pictures[name] = np.asarray(picture.convert("RGBA"))
        for name in ("truth", "before", "after"):
            drawn = draw_label(getattr(example, name), COLORS3)
            assert np.array_equal(pictures[name][..., :3], drawn)
        changes = example.changes()
        shown = pictures["changes"]
        assert np.array_equal(shown[..., 3] > 0, sum(changes.values()).bool().numpy())
        assert (shown[changes["fixed"].numpy()] == (*CHANGES["fixed"], 255)).all()


def test_a_page_of_many_images_stays_small(tmp_path, make_evaluation):
    many = make_evaluation(150, gallery=12)
    html = write(tmp_path / "report.html", [], many)
    data = Outline(html).data
    assert len(data["images-data"]["rows"]) == 150
    assert len(data["gallery-data"]["cards"]) == len(many.examples) <= 12
    without = replace(many, images=many.images[:1])
    alone = len(write(tmp_path / "one.html", [], without))
    assert len(html) - alone < 149 * 250  # bytes an image


def test_without_correction_nothing_is_said_of_it(tmp_path, make_evaluation):
    alone = make_evaluation(3, stages=lambda images: [images.softmax(1)])
    html = write(tmp_path / "report.html", [], alone)
    gallery = Outline(html).data["gallery-data"]
    assert [name for name, _ in gallery["orders"]] == ["least right", "in the split's order"]
    assert "accuracy" in gallery["cards"][0]["figures"]
    assert "before and after" not in html.split("<script")[0]
