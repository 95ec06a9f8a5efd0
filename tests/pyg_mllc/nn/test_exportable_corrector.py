import pytest
import torch
from torch.export import Dim, export

from graphs import AnchorMemory
from pyg_mllc.nn import ExportableCorrector, LabelCorrector


@pytest.mark.parametrize("levels", ["both", "semantic", "class", "none"])
@pytest.mark.parametrize("feature_dim, smooth", [(None, True), (8, True), (8, False)])
def test_computes_what_the_corrector_computes(levels, feature_dim, smooth, device):
    corrector = LabelCorrector(4, feature_dim, k=5, levels=levels, smooth=smooth).to(device)
    logits, features = torch.randn(2, 4, 6, 7), torch.randn(2, 8, 6, 7)
    logits, features = logits.to(device), features.to(device)
    counts = torch.tensor([10, 1, 0, 5], device=device)
    expected = corrector(logits, features, counts).logits
    out = ExportableCorrector(corrector, counts)(logits, features)
    assert torch.allclose(out, expected, atol=1e-4)


@pytest.mark.parametrize("count", [30, 6])  # with 6, all of them are neighbors
@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("rule", ["mean", "bayes"])
def test_anchors_take_part_as_they_do_in_the_corrector(rule, smooth, count):
    options = {"anchor_rule": rule, "anchor_share": 0.4, "smooth": smooth}
    corrector = LabelCorrector(4, k=5, **options).double()
    logits, features = torch.randn(2, 4, 6, 7).double(), torch.randn(2, 8, 6, 7).double()
    memory = AnchorMemory(4, 8, budget=40).double()
    memory.add(torch.randn(count, 8).double(), torch.randint(3, (count,)))
    expected = corrector(logits, features, anchors=memory).logits
    out = ExportableCorrector(corrector, anchors=memory)(logits, features)
    assert torch.allclose(out, expected, atol=1e-6)


SIZES = {0: Dim("b", max=64), 2: Dim("h", min=4, max=512), 3: Dim("w", min=4, max=512)}


def test_exports_with_sizes_other_than_the_traced_one():
    corrector = LabelCorrector(4, feature_dim=8, k=5, learn_blend=True).eval()
    for weight in corrector.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    example = torch.rand(2, 4, 9, 8), torch.rand(2, 8, 9, 8)
    program = export(ExportableCorrector(corrector), example, dynamic_shapes=(SIZES, SIZES))
    logits, features = torch.randn(3, 4, 5, 12), torch.randn(3, 8, 5, 12)
    expected = corrector(logits, features).logits
    assert torch.allclose(program.module()(logits, features), expected, atol=1e-4)


def test_other_layers_are_refused():
    with pytest.raises(ValueError, match="conv and feature_conv 'affinity'"):
        ExportableCorrector(LabelCorrector(4, conv="GCNConv"))


def test_anchors_far_from_zero_are_found_as_exactly(device):
    corrector = LabelCorrector(4, levels="none", anchor_rule="bayes").to(device)
    logits, features = torch.randn(1, 4, 6, 7), 100 + torch.randn(1, 64, 6, 7)
    memory = AnchorMemory(4, 64, budget=40).to(device)
    memory.add((100 + torch.randn(40, 64)).to(device), (torch.arange(40) % 4).to(device))
    out = ExportableCorrector(corrector, anchors=memory)(logits.to(device), features.to(device))
    expected = corrector.double()(
        logits.double().to(device), features.double().to(device), anchors=memory.double()
    ).logits
    assert torch.allclose(out.double(), expected, atol=1e-3)


def test_anchors_that_cannot_take_part_are_refused_as_by_the_corrector():
    memory = AnchorMemory(4, 8, budget=40)
    memory.add(torch.randn(30, 8), torch.randint(3, (30,)))
    with pytest.raises(ValueError, match=r"need corrector\.levels=both or semantic"):
        ExportableCorrector(LabelCorrector(4, levels="class"), anchors=memory)
