import pytest
import torch
import torch.nn.functional as F

from pyg_mllc.errors import InputError
from pyg_mllc.losses import SupervisedLoss, info_nce, masked_cross_entropy, prototype_loss
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


@pytest.mark.parametrize(
    "options, weights",
    [
        ({"logit_adjustment": 0.5}, lambda pi: torch.ones(3)),
        ({"class_weights": "enet"}, lambda pi: 1 / torch.log(1.02 + pi)),
        ({"class_weights": "inverse", "logit_adjustment": 1.0}, lambda pi: 1 / pi),
        ({"class_weights": [2.0, 0.0, 1]}, lambda pi: torch.tensor([2.0, 0.0, 1.0])),
    ],
)
def test_class_aware_losses_are_torchs_with_shifted_logits_and_weights(options, weights, device):
    logits = torch.randn(2, 3, 5, 6, device=device)
    label = torch.randint(3, (2, 5, 6), device=device)
    label[0, :2] = IGNORE
    loss = SupervisedLoss(3, **options).to(device)
    loss.set_class_counts(torch.tensor([700, 100, 200]))
    pi = torch.tensor([0.7, 0.1, 0.2])
    shift = (options.get("logit_adjustment", 0) * pi.log())[:, None, None].to(device)
    weight = weights(pi).to(device)
    expected = F.cross_entropy(logits + shift, label, weight, ignore_index=IGNORE)
    assert torch.allclose(loss(logits, label), expected)


def test_by_default_all_classes_are_alike_and_nothing_is_kept():
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 8, 8))
    loss = SupervisedLoss(3)
    assert torch.equal(loss(logits, label), masked_cross_entropy(logits, label))
    assert not loss.needs_class_counts and not loss.state_dict()


def test_logit_adjustment_predicts_as_if_classes_were_equally_frequent():
    label = (torch.arange(100) < 10).long().view(1, 10, 10)  # no pixel shows what it is
    found = []
    for tau in (0.0, 1.0):
        loss, bias = SupervisedLoss(2, tau), torch.zeros(2, requires_grad=True)
        loss.set_class_counts(torch.tensor([90, 10]))
        optimizer = torch.optim.SGD([bias], lr=2.0)
        for _ in range(300):
            optimizer.zero_grad()
            loss(bias.view(1, 2, 1, 1), label).backward()
            optimizer.step()
        found.append(float(bias.detach().softmax(0)[1]))
    assert found == pytest.approx([0.1, 0.5], abs=1e-3)


@pytest.mark.parametrize("rule", ["none", "enet", "inverse"])
def test_a_class_without_labeled_pixels_is_never_favored(rule):
    loss = SupervisedLoss(3, 1.0, rule)
    loss.set_class_counts(torch.tensor([60, 40, 0]))
    logits = torch.zeros(1, 3, 10, 10, requires_grad=True)
    value = loss(logits, torch.zeros(1, 10, 10).long())
    value.backward()
    of_class = logits.grad.sum((0, 2, 3))
    assert value.isfinite() and of_class[2] > 0 and of_class.isfinite().all()
    assert loss.class_shares.tolist() == pytest.approx([0.6, 0.4, 0.6])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"logit_adjustment": -1.0}, "logit_adjustment to be 0 or more, got -1.0"),
        ({"logit_adjustment": "much"}, "logit_adjustment=much is not a number"),
        ({"class_weights": "rare"}, "none, enet, inverse or a list of 3 numbers, got rare"),
        ({"class_weights": None}, "none, enet, inverse or a list of 3 numbers, got None"),
        ({"class_weights": [1.0, 2.0]}, r"to be 3 numbers of 0 or more, not all 0, got \[1.0, 2.0"),
        ({"class_weights": [1, 1, -1]}, r"to be 3 numbers of 0 or more, not all 0, got \[1, 1, -1"),
        ({"class_weights": [0, 0, 0]}, r"to be 3 numbers of 0 or more, not all 0, got \[0, 0, 0"),
    ],
)
def test_options_of_the_supervised_loss_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        SupervisedLoss(3, **options)


def test_a_loss_that_does_not_know_the_classes_shares_is_refused():
    loss = SupervisedLoss(3, class_weights="enet")
    with pytest.raises(InputError, match=r"call method\.prepare\(labeled\) before the first step"):
        loss(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2).long())
    with pytest.raises(InputError, match="no labeled pixel has a class"):
        loss.set_class_counts(torch.zeros(3))


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
        lambda x: SupervisedLoss(8, class_weights=[0.0] * 7 + [1.0])(
            x[None, :, :, None], torch.zeros(1, 8, 1).long()
        ),
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
