from dataclasses import replace

import numpy as np
import pytest
import torch

from pyg_mllc.errors import InputError
from pyg_mllc.evaluation.results import Example
from pyg_mllc.typing import IGNORE
from pyg_mllc.visualization.examples import CHANGES, VOID, draw_changes, draw_label, example_figure

CLASSES = ["sky", "<b>road</b>"]
COLORS = [(10, 20, 30), (200, 100, 0)]
EXAMPLE = Example(
    "street_1",
    torch.full((3, 2, 3), 55, dtype=torch.uint8),
    truth=torch.tensor([[0, 0, 1], [IGNORE, 1, 0]]),
    before=torch.tensor([[1, 0, 0], [0, 1, 1]]),
    after=torch.tensor([[0, 1, 0], [1, 1, 0]]),
    confidence=torch.linspace(0, 1, 6).reshape(2, 3),
)


def test_changes_are_painted_pixel_by_pixel():
    faded = (175, 175, 175)  # 255 - 0.4 * (255 - 55)
    fixed, broken, still_wrong = CHANGES.values()
    expected = [[fixed, broken, faded], [faded, faded, fixed]]  # void is not judged
    assert draw_changes(EXAMPLE).tolist() == np.array(expected).tolist()

    other = replace(EXAMPLE, truth=torch.full((2, 3), 2))
    expected = [[still_wrong, still_wrong, faded], [still_wrong, faded, still_wrong]]
    assert draw_changes(other).tolist() == np.array(expected).tolist()


def test_label_is_painted_in_its_colors_and_void_in_stripes():
    picture = draw_label(torch.tensor([[0, 1, IGNORE], [IGNORE, IGNORE, IGNORE]]), COLORS)
    expected = [[COLORS[0], COLORS[1], VOID[1]], [VOID[0], VOID[1], VOID[1]]]
    assert picture.tolist() == np.array(expected).tolist()


def test_example_figure_can_be_saved(tmp_path):
    wide = replace(EXAMPLE, image=EXAMPLE.image[:, :1], truth=EXAMPLE.truth[:1],
                   before=EXAMPLE.before[:1], after=EXAMPLE.after[:1],
                   confidence=EXAMPLE.confidence[:1])  # fmt: skip
    figure = example_figure([EXAMPLE, wide], CLASSES, COLORS)
    figure.savefig(tmp_path / "examples.png")
    titles = [axis.get_title() for axis in figure.axes[:5]]
    assert titles == ["image", "truth", "label before", "label after", "confidence"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*CLASSES, "void"]


def test_example_figure_says_what_is_missing():
    with pytest.raises(InputError, match="at least one example"):
        example_figure([], CLASSES, COLORS)
    with pytest.raises(InputError, match="1 colors, but 2 classes"):
        example_figure([EXAMPLE], CLASSES, COLORS[:1])
