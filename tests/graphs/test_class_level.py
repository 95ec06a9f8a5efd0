import pytest
import torch
from dense import class_level
from torch_geometric.data import Data
from torch_geometric.utils import to_dense_adj

from graphs import ClassLevelGraph, class_graph, class_hubs, propagate, random_walk_norm


def adjacency(graph):
    n = graph.num_nodes
    return to_dense_adj(graph.edge_index, edge_attr=graph.edge_weight, max_num_nodes=n)[0].T


@pytest.mark.parametrize("agree", ["label", "overlap"])
@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_dense_edges_are_all_pairs_that_agree(agree, threshold):
    logits, batch = 2 * torch.randn(40, 3), torch.tensor([0] * 15 + [1] * 25)
    graph = class_graph(logits, batch=batch, form="dense", agree=agree, threshold=threshold)
    label = logits.argmax(1) if agree == "label" else torch.zeros(40).long()
    expected = class_level(logits, label, batch)
    expected = torch.where(expected >= threshold, expected, 0.0)
    assert torch.allclose(adjacency(graph), expected, atol=1e-6)


def test_sampled_means_converge_to_the_mean_over_all():
    logits, batch = torch.randn(30, 3), torch.tensor([0] * 12 + [1] * 18)
    x = torch.randn(30, 4)
    generator = torch.Generator().manual_seed(0)
    graph = class_graph(logits, batch=batch, k=20_000, generator=generator)
    dense = class_graph(logits, batch=batch, form="dense")
    means = [
        propagate(g.edge_index, random_walk_norm(g.edge_index, g.edge_weight, 30), x)
        for g in (graph, dense)
    ]
    assert torch.allclose(*means, atol=0.05)


def test_sampled_partners_are_drawn_uniformly_even_where_posteriors_are_saturated():
    label = torch.randint(3, (600,))
    graph = class_graph(1000.0 * torch.eye(3)[label], k=50)
    drawn = torch.bincount(graph.edge_index[0], minlength=600)
    assert drawn.min() > 15 and drawn.max() < 110  # of Poisson variables of mean 50
    assert torch.bincount(graph.edge_index[1]).eq(50).all()


def test_the_draw_is_seeded():
    logits = torch.randn(50, 3)
    edges = [
        class_graph(logits, k=3, generator=torch.Generator().manual_seed(s)).edge_index
        for s in (0, 0, 1)
    ]
    assert torch.equal(edges[0], edges[1]) and not torch.equal(edges[0], edges[2])


@pytest.mark.parametrize("form", ["sampled", "dense"])
def test_edges_stay_inside_image_and_label_and_are_sorted_by_target(form):
    logits, batch = torch.randn(80, 4), torch.arange(4).repeat_interleave(20)
    source, target = class_graph(logits, batch=batch, form=form).edge_index
    label = logits.argmax(1)
    assert torch.equal(batch[source], batch[target]) and torch.equal(label[source], label[target])
    assert (target.diff() >= 0).all()


def test_transform_gives_the_edges_to_data():
    data = Data(logits=torch.randn(20, 3), num_nodes=20, edge_attr=torch.zeros(1))
    transform = ClassLevelGraph(form="dense", threshold=0.5)
    out = transform(data)
    expected = class_graph(data.logits, form="dense", threshold=0.5)
    assert torch.equal(out.edge_index, expected.edge_index) and "edge_attr" not in out
    assert repr(transform) == ("ClassLevelGraph(logits='logits', form='dense', threshold=0.5)")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((torch.zeros(3, 2), torch.zeros(2).long()), r"label \(3,\).*got shape \(2,\)"),
        ((torch.zeros(3, 2), torch.tensor([0, 1, 2])), "labels from 0 to 1, got 0 to 2"),
        ((torch.zeros(3, 2), torch.tensor([0, -1, 1])), "got -1 to 1"),
        ((torch.zeros(3, 2), None, torch.zeros(2).long()), r"batch \(3,\).*got shape \(2,\)"),
        ((torch.zeros(3),), r"logits to be a floating-point tensor \(N, D\)"),
        ((torch.full((3, 2), torch.nan),), "finite numbers in logits, got NaN"),
    ],
)
@pytest.mark.parametrize("builder", [class_hubs, class_graph])
def test_bad_input_is_refused(builder, arguments, message):
    with pytest.raises(ValueError, match=message):
        builder(*arguments)


def test_float32_under_autocast_and_nothing_for_no_nodes():
    logits, x = torch.randn(50, 3), torch.randn(50, 8)
    expected = class_hubs(logits).propagate(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(class_hubs(logits).propagate(x), expected)
    assert class_hubs(torch.zeros(0, 3)).propagate(torch.zeros(0, 8)).shape == (0, 8)


def test_data_without_what_the_transform_looks_for_is_refused():
    with pytest.raises(ValueError, match=r"expected data with 'logits', got \['x'\]"):
        ClassLevelGraph()(Data(x=torch.rand(3, 2)))


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"'sampled' or 'dense'.*got 'hubs'"):
        class_graph(torch.zeros(3, 2), form="hubs")


@pytest.mark.parametrize("form", ["sampled", "dense"])
def test_no_threshold_leaves_a_node_alone(form):
    logits = 3 * torch.randn(40, 4)
    graph = class_graph(logits, form=form, k=5, agree="overlap", threshold=1.0)
    assert graph.edge_index[1].unique().numel() == 40
