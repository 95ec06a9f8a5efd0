import pytest
import torch

from experiments.scores import scores


def test_void_is_left_out_and_a_class_that_nobody_has_too():
    label, truth = torch.tensor([[0, 1, 1, 0]]), torch.tensor([[0, 1, 0, 255]])
    assert scores(label, truth, 3) == pytest.approx((200 / 3, 50))


def test_a_class_that_only_the_label_has_counts_as_wrong():
    assert scores(torch.tensor([[0, 0, 2]]), torch.tensor([[0, 0, 0]]), 3)[1] == pytest.approx(
        100 * (2 / 3 + 0) / 2
    )
