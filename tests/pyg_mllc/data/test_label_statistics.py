import numpy as np
import pytest

from pyg_mllc.data import VOC, DatasetSpec, Textures
from pyg_mllc.data.label_statistics import (
    LabelStatistics,
    count_class_pixels,
    count_labels,
    find_label_problems,
)

COLORS = ((0, 0, 0), (1, 1, 1), (2, 2, 2))
OWN = DatasetSpec("folder", ("sky", "road", "car"), COLORS, assumes_void=True)
NAMED = DatasetSpec("folder", ("sky", "road", "car"), COLORS)


def labels(spec, *masks, what="the labeled masks"):
    counts = [
        count_labels(np.repeat(mask, 8)[:, None].repeat(9, 1), spec.num_classes) for mask in masks
    ]
    return LabelStatistics(spec, np.stack(counts), what)


def check(labeled, val=(0, 1, 2), spec=OWN):
    return find_label_problems(
        labels(spec, labeled), labels(spec, val, what="the validation masks")
    )


def test_class_pixels_are_counted_sample_by_sample():
    samples = Textures("train", 3, (32, 48))
    counts = count_class_pixels(samples, samples.spec.num_classes)
    assert counts.shape == (3, samples.spec.num_classes)
    for index, row in enumerate(counts):
        label = samples[index]["label"]
        assert row.tolist() == [int((label == c).sum()) for c in range(len(row))]


def test_labels_that_show_every_class_have_no_problem():
    assert check([0, 1, 2]) == ({}, [])
    assert check([0, 1, 2, 255]) == ({}, [])


def test_a_class_without_labeled_pixels_is_a_problem_of_ones_own_folder():
    found, notes = check([0, 1], val=[0, 1])
    [sentence] = found["classes without labeled pixels"]
    assert "the labeled masks have no pixel of 'car'" in sentence and not notes
    assert "while the validation masks have 'car'" in str(check([0, 1]))


def test_a_published_set_has_its_classes_by_definition():
    found, notes = check([0, 15], val=[0, 15], spec=VOC)
    assert not found and "have no pixel of 'aeroplane'" in notes[0]


def test_classes_that_are_not_measured_are_worth_knowing():
    found, [note] = check([0, 1, 2], val=[0, 2])
    assert not found and "no pixel of 'road', whose IoU cannot be measured" in note


@pytest.mark.parametrize("part", ["labeled", "val"])
def test_a_single_class_tells_nothing_apart(part):
    found, _ = check([0], val=[0, 1, 2]) if part == "labeled" else check([0, 1, 2], val=[0])
    [sentence] = found["labels of a single class"]
    assert "show 'sky' alone" in sentence and ("labeled" in sentence) == (part == "labeled")


def test_a_class_that_255_hides_comes_with_the_mend():
    [sentence, *_] = check([0, 255], val=[0, 255])[0]["labels of a single class"]
    assert "void in 50% of their pixels (255)" in sentence and "'255,road'" in sentence


def test_much_void_is_doubted_unless_somebody_names_it():
    [sentence] = check([0, 1, 2, 255, 255, 255, 255])[0]["void that nobody has named"]
    assert "57%" in sentence and "'255,void'" in sentence
    assert check([0, 1, 2, 255, 255, 255, 255], spec=NAMED)[0] == {}
    assert check([0, 1, 2, 255])[0] == {}


def test_single_pixels_may_be_slips():
    mask = np.zeros((20, 20), dtype=int)
    mask[:10], mask[3, 3] = 1, 2
    one = LabelStatistics(OWN, count_labels(mask, 3)[None], "the labeled masks")
    found, [note] = find_label_problems(one, labels(OWN, [0, 1, 2]))
    assert not found and "'car' has only 1 of the pixels" in note


def test_counts_put_void_last_and_know_the_inside():
    pixels, inner = count_labels(np.pad(np.full((3, 3), 1), 1, constant_values=255), 2)
    assert pixels.tolist() == [0, 9, 16] and inner.tolist() == [0, 1, 0]
