import csv

import numpy as np
import pytest
from PIL import Image

from pyg_mllc.visualization.report import write_figures, write_tables

CLASSES = ("a,b", 'c"d', "truth")


@pytest.fixture(scope="module")
def folder(evaluation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("é") / "results"
    write_tables(folder, evaluation, CLASSES)
    write_figures(folder, evaluation, CLASSES)
    return folder


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_measures_and_classes(folder, evaluation):
    head, *measures = rows(folder / "measures.csv")
    assert head == ["labels", "miou", "pixel_accuracy", "boundary_f", "calibration_error"]
    for row, (name, scores) in zip(measures, evaluation.stages.items(), strict=True):
        keys = ("miou", "accuracy", "boundary_f", "calibration_error")
        expected = [float(scores[key]) for key in keys]
        assert row[0] == name and [float(v) for v in row[1:]] == expected
    head, *classes = rows(folder / "classes.csv")
    assert head[:4] == ["class", "pixels", "iou_before_correction", "boundary_f_before_correction"]
    assert [row[0] for row in classes] == list(CLASSES)
    after = evaluation.stages["after correction"]
    assert [float(row[4]) for row in classes] == after["class_iou"].tolist()
    assert [int(row[1]) for row in classes] == after["confusion"].sum(1).tolist()


def test_a_row_for_every_image(folder, evaluation):
    head, *images = rows(folder / "images.csv")
    assert [row[0] for row in images] == [figures.name for figures in evaluation.images]
    assert head.index("fixed") == len(head) - 3
    assert float(images[3][head.index("miou_after")]) == pytest.approx(
        evaluation.images[3].miou[1], abs=1e-4
    )


@pytest.mark.parametrize("stage", ["before correction", "after correction"])
def test_confusion_matrices_as_numbers_and_picture(folder, evaluation, stage):
    name = f"confusion_{stage.replace(' ', '_')}"
    head, *lines = rows(folder / f"{name}.csv")
    assert head == ["truth", *CLASSES] and [line[0] for line in lines] == list(CLASSES)
    counts = np.array([line[1:] for line in lines], dtype=int)
    assert np.array_equal(counts, evaluation.stages[stage]["confusion"].numpy())
    for picture in (name, "reliability"):
        assert min(Image.open(folder / f"{picture}.png").size) > 300


def test_nothing_else_is_left(folder):
    assert {file.suffix for file in folder.iterdir()} == {".csv", ".png"}
