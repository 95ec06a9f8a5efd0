import math

import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError

from pyg_mllc.metrics.calibration import calibration_error, reliability


def test_is_torchmetrics_error_summed_over_parts():
    belief, truth = (2 * torch.randn(900, 4)).softmax(1), torch.randint(4, (900,))
    confidence, label = belief.max(1)
    table = sum(reliability(confidence[i::3], (label == truth)[i::3]) for i in range(3))
    expected = MulticlassCalibrationError(4, n_bins=15, norm="l1")(belief, truth)
    assert float(calibration_error(table)) == pytest.approx(float(expected), abs=1e-6)


def test_bins_hold_every_pixel_the_certain_ones_too():
    table = reliability(torch.tensor([0.0, 1.0, 1.0]), torch.tensor([False, True, False]), bins=4)
    assert table.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0], [2, 1, 2]]


def test_nothing_to_measure():
    none = reliability(torch.zeros(0), torch.zeros(0, dtype=torch.bool))
    assert math.isnan(calibration_error(none))
