import pytest
import torch

from pyg_mllc.data.labeled_pairs import LabeledPairs
from pyg_mllc.errors import InputError
from pyg_mllc.exporters import ExportableNetwork, compare, views
from pyg_mllc.inference.checkpoint import build_method, describe
from pyg_mllc.inference.predictor import Predictor, Saved
from pyg_mllc.nn import start_from_evidence
from pyg_mllc.typing import IGNORE

MODEL = {"encoder": "test_resnet", "feature_dim": 8, "width": 16}
FROZEN = {
    "_target_": "pyg_mllc.nn.FrozenFeatures", "_partial_": True, "name": "test_resnet",
    "weights": None,
}  # fmt: skip


def memory(**options):
    options = {"_target_": "pyg_mllc.nn.CorrectionMemory", "_partial_": True, **options}
    return {"memory": options}


FIXMATCH = {"_target_": "pyg_mllc.methods.FixMatch"}


def made(method=None, corrector=None, **model):
    torch.manual_seed(0)
    colors = [(i, 0, 0) for i in range(3)]
    method = {"_target_": "pyg_mllc.methods.MLLC", "warmup": 0.0, **(method or {})}
    described = describe(
        ["a", "b", "c"], colors, (64, 96), model=MODEL | model,
        corrector={"k": 4, "rounds": 1, **(corrector or {})}, method=method,
    )  # fmt: skip
    built = build_method(described).eval()
    with torch.no_grad():
        built.student.segmenter.class_head.weight.mul_(5)
    return Predictor(Saved(built, ("a", "b", "c"), tuple(colors), (64, 96)))


def with_counts(predictor):
    predictor.memory.class_thresholds.counts += torch.tensor([100, 20, 3])
    return predictor


def with_anchors(predictor):
    batch = {"image": torch.rand(2, 3, 64, 96), "label": torch.randint(3, (2, 64, 96))}
    batch["label"][:, :8] = IGNORE
    prediction = predictor.segmenter(batch["image"])
    counts = predictor.memory.class_thresholds.counts.clone()
    predictor.memory.update(batch["image"], prediction, batch["label"], torch.arange(2))
    predictor.memory.class_thresholds.counts.copy_(counts)
    assert len(predictor.memory.anchors)
    return predictor


def with_evidence(predictor, labels=2):
    samples = [
        {"image": (255 * torch.rand(3, 64, 96)).byte(), "label": torch.randint(3, (64, 96))}
        for _ in range(labels)
    ]
    if predictor.segmenter.init == "evidence":
        start_from_evidence(predictor.segmenter, LabeledPairs(samples))
    predictor.memory.prepare(LabeledPairs(samples))
    return predictor


EVIDENCE = {
    "evidence": {
        "_target_": "pyg_mllc.nn.GaussianEvidence", "_partial_": True, "shrinkage": 0.9,
        "encoder": FROZEN | {"strides": [8, 16], "embedding": False, "scale": 2.0}, "weight": 0.01,
    }
}  # fmt: skip
INSTANT = {"decoder": "linear", "scale": 2.0, "init": "evidence", "stride": 8}


CASES = {
    "plain": lambda: made(),
    "class thresholds": lambda: with_counts(made()),
    "coarser features": lambda: made(feature_stride=16),
    "no rounds": lambda: made(corrector={"rounds": 0}),
    "two rounds, frozen encoder": lambda: made(memory(encoder=FROZEN), {"rounds": 2}),
    "anchors": lambda: with_anchors(made(memory(anchors=30))),
    "anchors and frozen encoder": lambda: with_anchors(
        made(memory(anchors=30, encoder=FROZEN), {"rounds": 2})
    ),
    "mirror, scale and two frozen encoders": lambda: made(
        memory(encoder=FROZEN | {"name": ["test_resnet"] * 2, "scale": 2.0, "mirror": True})
    ),
    "anchors that wait": lambda: with_anchors(made(memory(anchors=30) | {"warmup": 0.5})),
    "fixmatch, anchors": lambda: with_anchors(
        made(FIXMATCH | {"correct": True} | memory(anchors=30, encoder=FROZEN))
    ),
    "fixmatch": lambda: made(FIXMATCH),
    "evidence": lambda: with_evidence(made(memory(**EVIDENCE))),
    "evidence at coarser features": lambda: with_evidence(
        made(memory(**EVIDENCE), {"rounds": 2}, feature_stride=16)
    ),
    "linear, twice the size": lambda: with_evidence(made(**INSTANT)),
    "tensorflow's padding": lambda: made(encoder="test_efficientnet"),
}


@pytest.mark.parametrize("case", CASES)
def test_computes_what_the_predictor_computes(case):
    predictor = CASES[case]()
    network = ExportableNetwork(predictor)
    images = torch.rand(2, 3, 64, 96)
    found = compare(network(images), predictor(images, correct=True)[1])
    assert found.largest < 1e-4, found
    plain = ExportableNetwork(predictor, correct=False)
    assert compare(plain(images), predictor(images, correct=False)[1]).largest < 1e-5


def test_anchors_and_thresholds_change_what_is_computed():
    images = torch.rand(1, 3, 64, 96)
    plain = ExportableNetwork(made())(images)
    evidence = with_evidence(made(memory(**EVIDENCE)))
    for other in (with_counts(made()), with_anchors(made(memory(anchors=30))), evidence):
        assert not torch.allclose(ExportableNetwork(other)(images), plain)


def test_padding_that_hangs_on_the_size_is_written_out():
    predictor = made(encoder="tf_efficientnet_lite0", feature_stride=16)
    network = ExportableNetwork(predictor, correct=False)
    assert not any(type(m).__name__ == "Conv2dSame" for m in network.modules())
    assert any(type(m).__name__ == "Conv2dSame" for m in predictor.modules())  # a copy was changed
    images = torch.rand(1, 3, 96, 64)
    assert torch.allclose(network(images), predictor(images, correct=False)[1], atol=1e-5)


def test_every_pixel_has_its_neighbors_at_the_smallest_size():
    network = ExportableNetwork(made(corrector={"k": 20}, feature_stride=16))
    assert (network.multiple, network.smallest) == (32, 96)
    assert network(torch.rand(1, 3, 96, 96)).isfinite().all()
    shapes = [tuple(view.shape[2:]) for view in views(torch.rand(3, 50, 70), (40, 200), 32, 96)]
    assert shapes == [(96, 192), (128, 256), (192, 96)]


def test_features_without_position_are_refused():
    predictor = made(memory(encoder=FROZEN | {"remove_position": 2}))
    with pytest.raises(InputError, match=r"\(remove_position\), which cannot be exported"):
        ExportableNetwork(predictor)
    assert ExportableNetwork(predictor, correct=False).encoder is None


def test_strides_that_do_not_divide_are_refused():
    predictor = made()
    predictor.segmenter.feature_stride = 12
    with pytest.raises(InputError, match="stride 8 and its features 12; only multiples"):
        ExportableNetwork(predictor)


def test_what_follows_edges_is_exported_without_correction_alone():
    predictor = made(corrector={"edge_aware": True})
    with pytest.raises(InputError, match="edge_aware=true cannot be exported; correct=false"):
        ExportableNetwork(predictor)
    assert ExportableNetwork(predictor, correct=False)(torch.rand(1, 3, 64, 96)).isfinite().all()
