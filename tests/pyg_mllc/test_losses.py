import pytest
import torch
import torch.nn.functional as F

from pyg_mllc.losses import info_nce, masked_cross_entropy, prototype_loss
from pyg_mllc.typing import IGNORE


def test_cross_entropy_is_torchs_where_all_pixels_count(device):
    logits = torch.randn(2, 4, 5, 6, device=device)
    label = torch.randint(4, (2, 5, 6), device=device)
    assert torch.allclose(masked_cross_entropy(logits, label), F.cross_entropy(logits, label))


def test_cross_entropy_ignores_void_and_weighs_pixels():
    logits, label = torch.randn(1, 3, 2, 2), torch.tensor([[[0, 1], [IGNORE, 2]]])
    weight = torch.tensor([[[1.0, 0.5], [9.0, 0.0]]])
    per_pixel = F.cross_entropy(logits, label.clamp(max=2), reduction="none")[0]
    expected = (per_pixel[0, 0] + 0.5 * per_pixel[0, 1]) / 3
    assert torch.allclose(masked_cross_entropy(logits, label, weight), expected)


def test_info_nce_matches_a_loop():
    features = torch.randn(6, 4).double()
    label = torch.tensor([0, 0, 1, 1, 2, IGNORE])
    unit = features / features.norm(dim=1, keepdim=True)
    losses = []
    for i in range(5):
        others = [a for a in range(5) if a != i]
        total = sum(torch.exp(unit[i] @ unit[a] / 0.1) for a in others)
        positives = [p for p in others if label[p] == label[i]]
        if positives:
            logs = [torch.log(torch.exp(unit[i] @ unit[p] / 0.1) / total) for p in positives]
            losses.append(-sum(logs) / len(logs))
    expected = torch.stack(losses).mean()
    assert torch.allclose(info_nce(features, label), expected)
    in_half = info_nce(features.half(), label)
    assert in_half.dtype == torch.float32 and torch.allclose(in_half.double(), expected, atol=0.1)


def test_contrast_is_low_where_classes_lie_apart():
    label = torch.tensor([0, 0, 1, 1])
    apart, mixed = torch.eye(2)[[0, 0, 1, 1]], torch.eye(2)[[0, 1, 0, 1]]
    assert info_nce(apart, label) < 0.01 < 5 < info_nce(mixed, label)


def test_prototype_loss_prefers_the_own_prototype_and_skips_unseen_classes():
    prototypes, seen = torch.eye(3), torch.tensor([True, True, False])
    features = torch.eye(3)
    right = prototype_loss(features, torch.tensor([0, 1, 2]), prototypes, seen)
    wrong = prototype_loss(features, torch.tensor([1, 0, 2]), prototypes, seen)
    assert right < 0.01 and wrong == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: masked_cross_entropy(x[None, :, :, None], torch.full((1, 8, 1), IGNORE)),
        lambda x: info_nce(x, torch.full((8,), IGNORE)),
        lambda x: info_nce(x, torch.arange(8)),
        lambda x: prototype_loss(
            x, torch.zeros(8).long(), torch.zeros(3, 8), torch.zeros(3).bool()
        ),
    ],
)
def test_nothing_labeled_gives_zero_that_keeps_its_gradient(loss):
    x = torch.randn(8, 8, requires_grad=True)
    value = loss(x)
    value.backward()
    assert value == 0 and x.grad.isfinite().all()


def test_contrast_computes_in_float32_under_autocast(device):
    torch.manual_seed(0)
    label = torch.arange(200, device=device) % 5
    features = F.one_hot(label, 16) + 0.1 * torch.randn(200, 16, device=device)
    features.requires_grad_()
    prototypes, seen = torch.randn(5, 16, device=device), torch.ones(5, dtype=bool, device=device)

    def losses():
        return info_nce(features, label), prototype_loss(features, label, prototypes, seen)

    expected = losses()
    with torch.autocast(device.type, torch.bfloat16):
        found = losses()
    for pair in zip(found, expected, strict=True):
        assert torch.equal(*(torch.autograd.grad(loss, features)[0] for loss in pair))
