import torch

from pyg_mllc.evaluation.example_selector import LONGEST, ExampleSelector
from pyg_mllc.evaluation.results import Example, ImageFigures
from pyg_mllc.typing import IGNORE


def shown(number, accuracy=0.5, fixed=0, broken=0, void=0.0, size=(4, 6)):
    label = torch.full(size, number % 3)
    image = torch.zeros(3, *size, dtype=torch.uint8)
    example = Example(str(number), image, label, label, label, torch.ones(size))
    pair = (accuracy, accuracy)
    return ImageFigures(number, str(number), void, pair, pair, pair, 0.5, fixed, broken, 0), example


def test_keeps_the_least_right_most_broken_most_fixed_and_some_of_all():
    selector = ExampleSelector(size=8, total=100)
    for i in range(100):
        selector.add(*shown(i, accuracy=0.9 - 0.1 * (i in (31, 77)), broken=9 * (i in (5, 6)),
                            fixed=4 * (i in (60, 99))))  # fmt: skip
    assert [figures.number for figures, _ in selector.examples] == [0, 5, 6, 31, 50, 60, 77, 99]


def test_never_holds_more_than_its_size_and_small_splits_whole():
    selector = ExampleSelector(size=12, total=1000)
    for i in range(1000):
        selector.add(*shown(i, accuracy=float(torch.rand(()))))
        assert len(selector.examples) <= 12
    small = ExampleSelector(size=12, total=12)
    for i in range(12):
        small.add(*shown(i))
    assert [figures.number for figures, _ in small.examples] == list(range(12))


def test_images_of_void_alone_are_not_the_worst():
    selector = ExampleSelector(size=4, total=50)
    for i in range(50):
        selector.add(*shown(i, accuracy=float("nan") if i == 7 else 0.5, void=float(i == 7)))
    assert 7 not in {figures.number for figures, _ in selector.examples}


def test_pictures_are_shrunk_and_keep_their_labels():
    label = torch.arange(3).repeat_interleave(400)[None].repeat(600, 1)  # 600 x 1,200
    label[0] = IGNORE
    image = torch.full((3, 600, 1200), 7, dtype=torch.uint8)
    small = Example("wide", image, label, label, label, torch.ones(600, 1200)).shrunk(LONGEST)
    assert small.truth.shape == small.image.shape[1:] == (240, 480) and small.image.unique() == 7
    assert small.truth[5].tolist() == torch.arange(3).repeat_interleave(160).tolist()
    assert small.truth.dtype == torch.uint8
