import math

import pytest
import torch
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassJaccardIndex,
)

from pyg_mllc.metrics.segmentation import Measures, iou
from pyg_mllc.typing import IGNORE


def test_iou_is_torchmetrics_jaccard_index_and_nan_for_absent_classes():
    label, guess = torch.randint(3, (500,)), torch.randint(3, (500,))
    confusion = torch.zeros(4, 4).long().index_put_((label, guess), torch.tensor(1), True)
    expected = MulticlassJaccardIndex(4, average="none")(guess, label)
    assert iou(confusion)[:3].tolist() == pytest.approx(expected[:3].tolist())
    assert iou(confusion)[3].isnan()


def test_a_sum_over_images_is_measured_as_all_their_pixels_together():
    belief = (3 * torch.randn(4, 3, 12, 17)).softmax(1)
    truth = torch.randint(3, (4, 12, 17))
    truth[torch.rand(truth.shape) < 0.2] = IGNORE
    one, *others = (Measures.of(b, t) for b, t in zip(belief, truth, strict=True))
    total = sum(others, start=one)
    options = {"num_classes": 3, "ignore_index": IGNORE}
    jaccard = MulticlassJaccardIndex(**options, average="none")(belief.argmax(1), truth)
    assert total.class_iou == pytest.approx(jaccard.tolist())
    assert total.miou == pytest.approx(float(jaccard.mean()))
    right = MulticlassAccuracy(**options, average="micro")(belief.argmax(1), truth)
    assert total.accuracy == pytest.approx(float(right))
    error = MulticlassCalibrationError(**options, n_bins=15)(belief, truth)
    assert total.calibration_error == pytest.approx(float(error), abs=1e-6)
    assert total.confusion.sum() == (truth != IGNORE).sum()
    assert all(0 <= f <= 1 for f in total.class_boundary_f)


def test_an_image_of_void_alone_counts_nothing():
    void = Measures.of(torch.rand(3, 8, 8).softmax(0), torch.full((8, 8), IGNORE))
    assert void.confusion.sum() == void.boundary.sum() == void.reliability.sum() == 0
    figures = (void.accuracy, void.miou, void.boundary_f, void.calibration_error)
    assert all(math.isnan(f) for f in figures)
    some = Measures.of(torch.eye(3)[torch.zeros(8, 8).long()].permute(2, 0, 1), torch.zeros(8, 8))
    assert (some + void).miou == some.miou == 1
