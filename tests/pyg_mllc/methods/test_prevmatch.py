import pytest
import torch
import torch.nn.functional as F

from pyg_mllc.errors import InputError
from pyg_mllc.methods import PrevMatch, UniMatch
from pyg_mllc.nn import LabelCorrector, Segmenter
from tests.pyg_mllc.methods.test_unimatch_v2 import (
    Darker,
    Same,
    batch,
    confident_loss,
    full_size,
)


def build(method=PrevMatch, **options):
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=16)
    return method(segmenter, LabelCorrector(3, feature_dim=8, k=4), **options)


def step(model):
    """Change the student as an optimizer would, and complete the step."""
    with torch.no_grad():
        model.student.segmenter.class_head.bias.add_(1)
    model.update()


def test_snapshots_are_of_the_student_at_fixed_intervals():
    model = build(total_steps=40, snapshot_interval=0.1, snapshots=3, decay=0.9)
    first, taken = model.student.segmenter.class_head.bias[0].item(), []
    for _ in range(21):
        step(model)
        kept = min(int(model.snapshots.taken), 3)
        biases = [n.class_head.bias[0].item() - first for n in model.snapshots.networks[:kept]]
        taken.append(sorted(round(bias) for bias in biases))
    assert taken[2:4] == [[], [4]] and taken[11] == [4, 8, 12]
    assert taken[-1] == [12, 16, 20]


def test_their_labels_weigh_most_in_the_middle_of_the_training():
    model = build(total_steps=20, snapshot_interval=0.1, snapshots=1)
    weights = []
    for _ in range(22):
        weights.append(model.previous_weight)
        model.update()
    assert weights[:2] == [0, 0]  # no snapshot yet
    assert weights[2:11] == pytest.approx([t / 10 for t in range(2, 11)])
    assert weights[11:] == pytest.approx([1 - t / 10 for t in range(1, 11)] + [0])


def test_without_a_snapshot_and_in_the_warm_up_it_is_unimatch():
    data, figures = batch(), []
    for method in (PrevMatch, UniMatch):
        torch.manual_seed(0)
        model = build(method, threshold=0.0, total_steps=40)
        torch.manual_seed(1)
        figures.append(model(data))
    assert all(torch.equal(figures[0][name], figures[1][name]) for name in figures[1])
    model = build(total_steps=40, warmup=0.5)
    for _ in range(10):
        model.update()
    assert model.snapshots.taken == 5 and model.previous_weight == 0


@torch.no_grad()
def test_the_loss_has_unimatchs_terms_once_more_with_the_labels_of_a_snapshot():
    torch.manual_seed(0)
    model = build(
        weak=Same(), strong=Darker(), channel_dropout=0.0, lambda_u=0.7, threshold=0.4,
        previous_threshold=0.45, total_steps=40, snapshots=1,
    ).eval()  # fmt: skip
    network, previous = model.student.segmenter, model.snapshots.networks[0]
    network.class_head.weight.mul_(30)
    model.update()  # its labels are those of the student
    model.snapshots.add(network)
    previous.class_head.weight.mul_(-1)  # other labels
    model.step += 9
    data = batch()
    figures = model(data)
    images = data["unlabeled"]

    def term(labeler, threshold):
        confidence, label = full_size(labeler(images).logits).softmax(1).max(1)
        assert 0 < (confidence >= threshold).float().mean() < 1
        first, second, weak = (
            confident_loss(network(images * f).logits, label, confidence, threshold, data["valid"])
            for f in (0.6, 0.2, 1)
        )
        return first / 4 + second / 4 + weak / 2

    weight = 0.5  # a quarter of the training is over
    unlabeled = term(network, 0.4) + weight * term(previous, 0.45)
    supervised = F.cross_entropy(full_size(network(data["image"]).logits), data["label"])
    assert float(figures["unsupervised"]) == pytest.approx(float(unlabeled), abs=1e-5)
    expected = (supervised + 0.7 * unlabeled) / (2 + weight)
    assert float(figures["loss"]) == pytest.approx(float(expected), abs=1e-5)


def test_strong_views_mix_the_labels_of_snapshots_as_they_mix_images():
    model = build(weak=Same(), threshold=0.0, previous_threshold=0.0, total_steps=40)
    seen, real = [], model.strong.forward
    model.strong.forward = lambda *maps: seen.append((maps, real(*maps))) or seen[-1][1]
    model.snapshots.add(model.student.segmenter)
    model.step += 20
    model(batch())
    for before, after in seen:
        assert len(before) == len(after) == 5  # image, labels and weights of both
        for label in (1, 3):
            moved = after[label] != before[label]
            assert torch.equal(after[label][moved], before[label].roll(1, 0)[moved])
    assert len(seen) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"snapshots": 0}, "expected method.snapshots of 1 or more, got 0"),
        ({"snapshot_interval": 0.0}, r"expected method.snapshot_interval in \(0, 1\), got 0.0"),
        ({"snapshot_interval": 30}, r"expected method.snapshot_interval in \(0, 1\), got 30"),
        ({"ensemble": 0}, "expected method.ensemble of 1 or more, got 0"),
        ({"previous_threshold": 90}, r"expected method.previous_threshold in \[0, 1\], got 90"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        build(**options)
