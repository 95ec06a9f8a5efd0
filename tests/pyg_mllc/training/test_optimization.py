import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR

from pyg_mllc.methods import MLLC
from pyg_mllc.nn import LabelCorrector, Segmenter
from pyg_mllc.training import TrainerConfig
from pyg_mllc.training.optimization import build_optimizer

CONFIG = TrainerConfig(optimizer=partial(torch.optim.AdamW, lr=0.1, weight_decay=0.02))


@pytest.fixture(scope="module")
def student():
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=8)
    return MLLC(segmenter, LabelCorrector(3, feature_dim=8, k=4)).student


def test_heads_learn_faster_and_the_corrector_does_not_decay(student):
    optimizer, _ = build_optimizer(student, replace(CONFIG, head_lr_factor=7.0))
    rates = {g["name"]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups}
    expected = {"encoder": (0.1, 0.02), "heads": (0.1 * 7.0, 0.02), "corrector": (0.1, 0.0)}
    assert rates == expected
    trained = [id(weight) for group in optimizer.param_groups for weight in group["params"]]
    assert sorted(trained) == sorted(id(w) for w in student.parameters() if w.requires_grad)


@pytest.mark.parametrize("steps", [3, 20_000])
def test_rates_fall_as_published_to_zero(student, steps):
    optimizer, scheduler = build_optimizer(student, replace(CONFIG, max_steps=steps))
    optimizer.step()
    for step in range(steps):
        rates = [group["lr"] for group in optimizer.param_groups]
        factor = (1 - step / steps) ** 0.9
        expected = [0.1 * factor, 1.0 * factor, 0.1 * factor]
        assert all(
            math.isclose(rate, e, rel_tol=1e-12) for rate, e in zip(rates, expected, strict=True)
        )
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0, 0, 0]


@pytest.mark.parametrize(
    "scheduler, expected",
    [
        (partial(CosineAnnealingLR, T_max=6), 0.5),
        (partial(ConstantLR, factor=1.0, total_iters=1), 1.0),
    ],
)
def test_a_scheduler_scales_every_rate(student, scheduler, expected):
    optimizer, made = build_optimizer(student, replace(CONFIG, max_steps=6, scheduler=scheduler))
    for _ in range(3):
        optimizer.step()
        made.step()
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.1 * expected, expected, 0.1 * expected])


@pytest.mark.parametrize(
    "optimizer, clip, fused",
    [
        (torch.optim.AdamW, None, True),
        (torch.optim.SGD, 1.0, False),
        (partial(torch.optim.AdamW, fused=False), None, False),
        (partial(torch.optim.AdamW, foreach=True), None, None),
    ],
)
def test_kernels_are_fused_unless_gradients_are_clipped_or_the_user_chose(
    student, optimizer, clip, fused
):
    made, _ = build_optimizer(student, TrainerConfig(optimizer=optimizer, gradient_clip_val=clip))
    assert made.defaults["fused"] is fused
