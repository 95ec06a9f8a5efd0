from functools import partial

import pytest
import torch

import pyg_mllc
from graphs import AnchorMemory
from pyg_mllc.errors import InputError
from pyg_mllc.inference.checkpoint import Saved
from pyg_mllc.inference.explain import class_shares, explain, spread
from pyg_mllc.inference.predictor import Predictor
from pyg_mllc.methods import MLLC, Supervised
from pyg_mllc.nn import CorrectionMemory, FrozenFeatures, LabelCorrector, Segmenter

FROZEN = partial(FrozenFeatures, name="test_resnet", weights=None, embedding=False)
MEMORY = partial(CorrectionMemory, encoder=FROZEN, anchors=30)
IMAGE = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0))


def predictor(method=MLLC, **options):
    torch.manual_seed(0)
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=16)
    corrector = LabelCorrector(3, feature_dim=8, k=5, **options.pop("corrector", {}))
    made = method(segmenter, corrector, **options).eval()
    return Predictor(Saved(made, ("a", "b", "c"), ((0, 0, 0),) * 3, (64, 96)))


def test_the_rounds_are_those_of_the_prediction(checkpoint_file):
    network = pyg_mllc.load(checkpoint_file)
    found = explain(network, IMAGE, x=50, y=33)
    output = network.network(network.fitted(IMAGE[None]), network.memory)
    size = output.after.features.shape[-2:]
    assert found.node == (33 * size[0] // 64, 50 * size[1] // 96)
    steps = [found.before, *(view.after for view in found.rounds)]
    assert list(found.path) == ["before", "round 1", "round 2"]
    for probabilities, expected in zip(steps, output, strict=True):
        where = (0, slice(None), *found.node)
        assert torch.allclose(probabilities, expected.logits[where].softmax(0), atol=1e-5)


def test_the_neighbors_opinion_is_what_moves_the_label():
    """Without transforms: after = (1 - a) before + a * opinion, in logits up to a constant."""
    network = predictor(corrector={"levels": "semantic", "rounds": 1})
    (view,) = explain(network, IMAGE, x=5, y=60).rounds
    z = network.segmenter(network.fitted(IMAGE[None])).logits[0].flatten(1).T
    node = 60 * 8 // 64 * 12 + 5 * 12 // 96
    assert (view.neighbors == node).any() and len(view.neighbors) >= 6
    opinion = (view.weight[:, None] * z[view.neighbors]).sum(0)
    after = (1 - view.neighbor_weight) * z[node] + view.neighbor_weight * opinion
    assert torch.allclose(view.after, after.softmax(0), atol=1e-5)
    own, _ = class_shares(view, 3)
    assert own.sum() == pytest.approx(1)
    assert not view.agreement.any()  # no features flow


def test_agreement_is_among_pixels_of_one_label():
    view = explain(predictor(), IMAGE, x=20, y=20).rounds[0]
    node = (20 * 8 // 64, 20 * 12 // 96)
    agrees = view.label == view.label[node]
    assert (view.agreement[agrees] > 0).all() and not view.agreement[~agrees].any()
    assert spread(view, (64, 96)).max() == 1


def test_anchors_are_told_by_class():
    network = predictor(memory=MEMORY, warmup=0.0, corrector={"anchor_share": 0.5})
    memory: AnchorMemory = network.memory.anchors
    memory.add(torch.rand(40, memory.slots.size(-1)), torch.ones(40, dtype=torch.long))
    view = explain(network, IMAGE, x=1, y=1).rounds[0]
    assert (view.anchors == 1).all() and float(view.anchor_weight.sum()) == pytest.approx(0.5)
    own, other = class_shares(view, 3)
    assert own.sum() + other.sum() == pytest.approx(1) and own.sum() > 0.3
    assert other.tolist() == pytest.approx([0, 1 - float(own.sum()), 0])


def test_evidence_of_anchors_comes_before_the_rounds():
    network = predictor(memory=MEMORY, warmup=0.0, corrector={"anchor_rule": "bayes"})
    memory: AnchorMemory = network.memory.anchors
    near, far = torch.rand(15, memory.slots.size(-1)), torch.full((15, memory.slots.size(-1)), 9.0)
    memory.add(torch.cat([far, near]), torch.arange(30) // 15)
    found = explain(network, IMAGE, x=1, y=1)
    assert list(found.path) == ["before", "with evidence", "round 1", "round 2"]
    assert found.path["with evidence"][1] > found.before[1]
    assert found.path["with evidence"][0] < found.before[0] / 9
    expected = torch.tensor([0.01, 1.01, 0.51]).log()
    assert torch.allclose(found.evidence, expected - expected.mean(), atol=1e-3)
    assert not len(found.rounds[0].anchors)


def test_what_cannot_be_explained_is_said():
    with pytest.raises(InputError, match="trained without rounds of correction"):
        explain(predictor(Supervised), IMAGE, 0, 0)
    with pytest.raises(InputError, match="pixel=96,0 lies outside"):
        explain(predictor(), IMAGE, 96, 0)
    network = predictor(corrector={"share_weights": True})
    assert len(explain(network, IMAGE, 0, 0).rounds) == 2
