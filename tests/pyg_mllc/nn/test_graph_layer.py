from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from torch_geometric.nn import MessagePassing

from pyg_mllc.nn import GraphLayer, LabelCorrector

LAYERS = [
    *("AGNNConv", "APPNP", "ARMAConv", "AntiSymmetricConv", "CGConv", "ChebConv"),
    *("ClusterGCNConv", "EGConv", "FeaStConv", "FiLMConv", "GATConv", "GATv2Conv", "GCNConv"),
    *("GENConv", "GINConv", "GINEConv", "GMMConv", "GatedGraphConv", "GeneralConv", "GraphConv"),
    *("LEConv", "LGConv", "MFConv", "PDNConv", "ResGatedGraphConv", "SAGEConv", "SGConv"),
    *("SSGConv", "SimpleConv", "SuperGATConv", "TAGConv", "TransformerConv"),
]


@pytest.mark.parametrize("conv", LAYERS)
def test_runs_from_its_name_in_both_steps_forward_and_backward(conv, device):
    corrector = LabelCorrector(3, feature_dim=8, rounds=2, k=4, conv=conv, feature_conv=conv)
    corrector.to(device)
    logits = torch.randn(2, 3, 5, 4, device=device, requires_grad=True)
    features = torch.randn(2, 8, 5, 4, device=device, requires_grad=True)
    out = corrector(logits, features).after
    assert out.logits.shape == logits.shape and out.features.shape == features.shape
    (out.logits.square().sum() + out.features.square().sum()).backward()
    assert logits.grad.isfinite().all() and logits.grad.any()
    assert features.grad.isfinite().all() and features.grad.any()
    for name, weight in corrector.named_parameters():
        assert weight.grad is None or weight.grad.isfinite().all(), name


@pytest.mark.parametrize(
    "conv, reason",
    [
        ("GATConv2", "did you mean .*GATConv"),
        ("RGCNConv", "missing 1 required positional argument: 'num_relations'"),
        ("HypergraphConv", "hyperedge_index'], not on nodes x and edge_index"),
        ("PointNetConv", "works on .*'pos'"),
        ("DNAConv", "fails on three nodes of 3 channels.*num_layers"),
        (partial(pyg.GATConv, heads=2), r"gives \(3, 6\) for 3 nodes, .*set concat=False"),
        ({"heads": 2}, r"expected \{name: GATv2Conv"),
        ({"name": "GATConv", "head": 2}, "unexpected keyword argument 'head'"),
        (pyg.GCNConv(3, 3), "expected GCNConv as a class or a factory"),
        (partial(pyg.GCNConv, cached=True), "cached=True, but each call brings a graph"),
        (partial(pyg.GCN2Conv, alpha=0.5), "works on .*x_0"),
        (torch.nn.Linear, "cannot be made|not on nodes x and edge_index|fails on three nodes"),
    ],
)
def test_an_unsuitable_layer_is_refused_with_the_reason(conv, reason):
    with pytest.raises(ValueError, match=reason):
        LabelCorrector(3, conv=conv)


def test_the_message_for_an_unknown_layer_names_those_that_fit():
    base = pyg.MessagePassing.propagate
    with pytest.raises(ValueError, match="Choices: affinity, AGNNConv") as error:
        LabelCorrector(3, conv="GATConv2")
    with pytest.raises(ValueError, match="'MessagePassing' is not a layer"):
        LabelCorrector(3, conv="MessagePassing")
    for itself in (MessagePassing, partial(MessagePassing, aggr="max")):
        with pytest.raises(ValueError, match="MessagePassing itself is no layer: expected a class"):
            GraphLayer(itself, 3)
    assert pyg.MessagePassing.propagate is base  # which PyG would change if it were tried
    assert "GATv2Conv" in str(error.value) and "RGCNConv" not in str(error.value)


def test_a_layer_of_the_feature_step_needs_its_size():
    with pytest.raises(ValueError, match=r"feature_conv=GCNConv has weights.*feature_dim"):
        LabelCorrector(3, feature_conv="GCNConv")
    assert list(LabelCorrector(3, conv="GCNConv").parameters())  # the label step knows C


class MeanOfNeighbors(MessagePassing):
    """What a user may write."""

    def __init__(self, in_channels, out_channels):
        super().__init__(aggr="mean")
        self.lin = torch.nn.Linear(in_channels, out_channels)

    def forward(self, x, edge_index, edge_weight=None):
        return self.lin(self.propagate(edge_index, x=x, edge_weight=edge_weight))

    def message(self, x_j, edge_weight):
        return x_j if edge_weight is None else edge_weight[:, None] * x_j


def test_layers_come_as_names_classes_and_factories():
    options = {"name": "GATConv", "heads": 2, "concat": False}  # as a configuration has it
    for conv in ("GATConv", pyg.GATConv, partial(pyg.GATConv, heads=2, concat=False), options):
        assert isinstance(GraphLayer(conv, 3).conv, pyg.GATConv)
    assert GraphLayer(options, 3).conv.heads == 2
    assert isinstance(GraphLayer(MeanOfNeighbors, 3).conv, MeanOfNeighbors)
    corrector = LabelCorrector(3, 8, k=4, conv=MeanOfNeighbors, feature_conv="SAGEConv")
    output = corrector(torch.randn(1, 3, 4, 5), torch.randn(1, 8, 4, 5))
    assert output.logits.isfinite().all()


def test_weights_reach_a_layer_in_the_form_it_takes():
    x, edge_index = torch.randn(3, 4), torch.tensor([[0, 1, 2, 0], [1, 2, 0, 0]])
    for conv, takes in (("GraphConv", True), ("TransformerConv", True), ("SAGEConv", False)):
        layer = GraphLayer(conv, 4)
        same = torch.equal(
            layer(x, edge_index, torch.ones(4)), layer(x, edge_index, torch.arange(4.0))
        )
        assert same != takes


def test_making_a_layer_draws_as_many_random_numbers_as_its_weights():
    torch.manual_seed(0)
    pyg.GATConv(4, 4, edge_dim=1)
    after = torch.rand(1)
    torch.manual_seed(0)
    GraphLayer("GATConv", 4)
    assert torch.equal(torch.rand(1), after)
