import pytest
import torch

from pyg_mllc.nn import ClassThresholds, class_thresholds


def test_the_most_frequent_class_has_the_full_threshold():
    eta = class_thresholds(torch.tensor([100.0, 25.0, 0.0]), 0.8)
    assert torch.allclose(eta, torch.tensor([0.8, 0.2, 0.0]))


def test_without_counts_everything_is_trusted_as_published():
    assert class_thresholds(torch.zeros(3)).tolist() == [0, 0, 0]


def test_counts_only_confident_pixels_and_adds_up(device):
    thresholds = ClassThresholds(3, threshold=0.9).to(device)
    logits = torch.zeros(2, 3, 4, 5, device=device)
    logits[0, 1] = 9
    logits[1, 2, :2] = 9
    thresholds.update(logits)
    thresholds.update(logits)
    assert thresholds.counts.tolist() == [0, 40, 20]


def test_counts_are_saved():
    thresholds = ClassThresholds(2)
    thresholds.update(9 * torch.eye(2)[None, :, :, None])
    again = ClassThresholds(2)
    again.load_state_dict(thresholds.state_dict())
    assert again.counts.tolist() == [1, 1]


def test_a_moving_average_forgets():
    thresholds = ClassThresholds(2, decay=0.5)
    first, then = (9 * torch.eye(2)[c].view(1, 2, 1, 1).expand(1, 2, 1, 8) for c in (0, 1))
    thresholds.update(first)
    assert thresholds.counts.tolist() == [4, 0]
    for _ in range(20):
        thresholds.update(then)
    assert thresholds.eta[0] < 1e-4 and torch.allclose(thresholds.eta[1], torch.tensor(0.95))
    with pytest.raises(ValueError, match=r"decay in \[0, 1\), got 1"):
        ClassThresholds(2, decay=1)
