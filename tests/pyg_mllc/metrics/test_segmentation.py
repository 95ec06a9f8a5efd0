import math

import pytest
import torch
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassJaccardIndex,
)

from pyg_mllc.metrics.segmentation import SegmentationMetrics, iou
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
    metric = SegmentationMetrics(3, boundary=True, calibration=True)
    for number in range(4):
        metric.update(belief[number : number + 1], truth[number : number + 1])
    total = metric.compute()
    options = {"num_classes": 3, "ignore_index": IGNORE}
    jaccard = MulticlassJaccardIndex(**options, average="none")(belief.argmax(1), truth)
    assert total["class_iou"].tolist() == pytest.approx(jaccard.tolist())
    assert float(total["miou"]) == pytest.approx(float(jaccard.mean()))
    right = MulticlassAccuracy(**options, average="micro")(belief.argmax(1), truth)
    assert float(total["accuracy"]) == pytest.approx(float(right))
    error = MulticlassCalibrationError(**options, n_bins=15)(belief, truth)
    assert float(total["calibration_error"]) == pytest.approx(float(error), abs=1e-6)
    assert total["confusion"].sum() == (truth != IGNORE).sum()
    assert all(0 <= f <= 1 for f in total["class_boundary_f"])


def test_a_value_is_of_the_images_given_and_the_total_of_all():
    metric = SegmentationMetrics(3, boundary=True, calibration=True)
    probabilities = (3 * torch.randn(2, 3, 12, 17)).softmax(1)
    truth = torch.randint(3, (2, 12, 17))
    values = [metric(p[None], t[None]) for p, t in zip(probabilities, truth, strict=True)]
    together = SegmentationMetrics(3, boundary=True, calibration=True)
    together.update(probabilities, truth)
    for name, total in together.compute().items():
        assert torch.allclose(metric.compute()[name], total, equal_nan=True), name
    for value, t in zip(values, truth, strict=True):
        assert value["confusion"].sum(1).tolist() == t.flatten().bincount(minlength=3).tolist()


def test_only_what_is_asked_for_is_computed():
    metric = SegmentationMetrics(3)
    metric.update(torch.randn(1, 3, 4, 4), torch.zeros(1, 4, 4).long())
    assert set(metric.compute()) == {"confusion", "class_iou", "miou", "accuracy"}


def test_an_image_of_void_alone_counts_nothing():
    metric = SegmentationMetrics(3, boundary=True, calibration=True)
    void = metric(torch.rand(1, 3, 8, 8).softmax(1), torch.full((1, 8, 8), IGNORE))
    assert void["confusion"].sum() == metric.boundary.sum() == void["reliability"].sum() == 0
    names = ("accuracy", "miou", "boundary_f", "calibration_error")
    assert all(math.isnan(void[name]) for name in names)
    truth = torch.zeros(1, 8, 8).long()
    metric.update(torch.eye(3)[truth].permute(0, 3, 1, 2), truth)
    assert metric.compute()["miou"] == 1
