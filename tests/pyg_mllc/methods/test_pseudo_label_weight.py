import numpy as np
import pytest
import torch

from pyg_mllc.losses import pseudo_label_weight
from pyg_mllc.methods import PseudoLabelWeight
from pyg_mllc.typing import IGNORE


def batches(count=4, size=(2, 3, 5, 7)):
    """Probabilities and their classes, the last rows being padding."""
    for _ in range(count):
        probabilities = (2 * torch.randn(size)).softmax(1)
        label = probabilities.argmax(1)
        label[:, -2:] = IGNORE
        yield probabilities, label


def averages_of(seen):
    """Moving averages over batches in double precision, from their definition."""
    average = None
    for step, (probabilities, _) in enumerate(seen):
        pixels = probabilities[:, :, :-2].movedim(1, 3).reshape(-1, 3).double().numpy()
        confidence = pixels.max(1)
        new = np.array([confidence.mean(), confidence.var(), *pixels.mean(0)])
        stays = min(1 - 1 / (step + 1), 0.999)
        average = new if average is None else stays * average + (1 - stays) * new
    return average


def test_softmatch_trusts_less_the_further_a_confidence_lies_below_the_mean(device):
    weight = PseudoLabelWeight(3, "softmatch").to(device)
    seen = list(batches())
    for probabilities, label in seen:
        result = weight(probabilities.to(device), label.to(device)).cpu()
    mean, variance, *_ = averages_of(seen)
    confidence = seen[-1][0].amax(1).double().numpy()
    expected = np.exp(-(np.minimum(0, confidence - mean) ** 2) / (2 * variance / 4))
    assert result.numpy() == pytest.approx(expected, abs=1e-5)
    assert (result[torch.from_numpy(confidence > mean)] == 1).all() and 0 < result.min() < 0.9


def test_freematch_asks_less_confidence_of_classes_that_are_predicted_less(device):
    weight = PseudoLabelWeight(3, "freematch").to(device)
    seen = list(batches())
    for probabilities, label in seen:
        result = weight(probabilities.to(device), label.to(device)).cpu()
    mean, _, *shares = averages_of(seen)
    probabilities, label = seen[-1]
    thresholds = torch.tensor(mean * np.array(shares) / max(shares))
    known = label != IGNORE
    expected = probabilities.amax(1)[known] >= thresholds[label[known]]
    assert torch.equal(result[known].bool(), expected) and 0 < expected.float().mean() < 1


@pytest.mark.parametrize("rule", ["power", "hard", "uniform"])
def test_other_rules_are_those_of_the_function_and_keep_nothing(rule):
    weight, (probabilities, label) = PseudoLabelWeight(3, rule, 0.7, 2.0), next(batches())
    expected = pseudo_label_weight(probabilities.amax(1), rule, 0.7, 2.0)
    assert torch.equal(weight(probabilities, label), expected) and not weight.state_dict()


@pytest.mark.parametrize("rule", ["softmatch", "freematch"])
def test_averages_are_in_the_state_and_stay_where_nothing_is_learned(rule):
    weight, other = PseudoLabelWeight(3, rule), PseudoLabelWeight(3, rule)
    (first, label), (second, void) = batches(2)
    weight(first, label)
    other.load_state_dict(weight.state_dict())
    weight.eval()(second, void)
    weight.train()(second, torch.full_like(void, IGNORE))  # only padding
    weight(torch.full_like(second, torch.nan), void)
    for name, value in other.state_dict().items():
        assert torch.equal(weight.state_dict()[name], value), name
    assert torch.equal(weight(second, void), other(second, void))


def test_equal_confidences_are_all_trusted():
    weight, probabilities = PseudoLabelWeight(2, "softmatch"), torch.tensor([0.75, 0.25])
    probabilities = probabilities.view(1, 2, 1, 1).repeat(1, 1, 2, 2)
    assert (weight(probabilities, torch.zeros(1, 2, 2).long()) == 1).all()
