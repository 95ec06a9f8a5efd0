from itertools import cycle

import pytest
import torch
import torch.nn.functional as F

from pyg_mllc.methods import UniMatchV2
from pyg_mllc.nn import LabelCorrector, Segmenter


def build(**options):
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=16)
    return UniMatchV2(segmenter, LabelCorrector(3, feature_dim=8, k=4), **options)


class Same(torch.nn.Module):
    """A view that changes nothing."""

    def forward(self, *maps):
        return maps


class Darker(torch.nn.Module):
    """Strong views: the first one is at 0.6, the second one at 0.2 of the brightness."""

    def __init__(self):
        super().__init__()
        self.factors = cycle([0.6, 0.2])

    def forward(self, image, *maps):
        return image * next(self.factors), *maps


def batch():
    valid = torch.ones(2, 32, 48, dtype=torch.bool)
    valid[0, 20:] = False
    return {
        "image": torch.rand(2, 3, 32, 48),
        "label": torch.randint(3, (2, 32, 48)),
        "unlabeled": torch.rand(2, 3, 32, 48),
        "valid": valid,
        "index": torch.arange(2),
    }


def full_size(logits):
    return F.interpolate(logits, (32, 48), mode="bilinear", align_corners=False)


def confident_loss(logits, label, confidence, threshold, valid):
    """Mean over pixels outside padding; those below the threshold count as 0."""
    loss = F.cross_entropy(full_size(logits), label, reduction="none")
    return (loss * (confidence >= threshold))[valid].sum() / valid.sum()


@torch.no_grad()
def test_the_loss_is_the_mean_of_labels_and_of_both_strong_views(monkeypatch):
    monkeypatch.setattr("pyg_mllc.methods.unimatch_v2.complementary_dropout", list)
    torch.manual_seed(0)
    model = build(weak=Same(), strong=Darker(), lambda_u=0.7, threshold=0.4).eval()
    model.teacher.network.segmenter.class_head.weight.mul_(-30)  # other labels than the student's
    data = batch()
    figures = model(data)
    network, images = model.student.segmenter, data["unlabeled"]
    taught = full_size(model.teacher.network.segmenter(images).logits).softmax(1)
    confidence, label = taught.max(1)
    assert 0 < (confidence >= 0.4).float().mean() < 1
    first, second = (
        confident_loss(network(images * f).logits, label, confidence, 0.4, data["valid"])
        for f in (0.6, 0.2)
    )
    supervised = F.cross_entropy(full_size(network(data["image"]).logits), data["label"])
    assert float(figures["unsupervised"]) == pytest.approx(float(first + second) / 2, abs=1e-5)
    expected = (supervised + 0.7 * (first + second) / 2) / 2
    assert float(figures["loss"]) == pytest.approx(float(expected), abs=1e-5)


@torch.no_grad()
def test_the_strong_views_of_an_image_share_its_channels_and_labeled_images_keep_theirs():
    model = build(weak=Same(), strong=Same()).eval()
    segmenter, seen = model.student.segmenter, []
    segmenter.decoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    data = batch()
    model(data)
    [stages] = seen
    for stage, labeled, whole in zip(
        stages,
        segmenter.encode(data["image"]),
        segmenter.encode(data["unlabeled"]),
        strict=True,
    ):
        image, first, second = stage.split(2)
        assert torch.allclose(image, labeled, atol=1e-5)
        assert torch.allclose(first + second, 2 * whole, atol=1e-4)
        apart = ((first - second).abs() > 1e-4).flatten(1).any(1)
        assert apart.sum() == 1  # of the two images, one keeps all channels


def test_the_teacher_follows_as_slowly_as_published():
    assert build().teacher.decay == 0.996
