import pytest
import torch
from dense import class_level, normalize
from torch_geometric.utils import to_dense_adj

from graphs import class_graph, class_hubs, propagate, random_walk_norm


def adjacency(graph):
    n = graph.num_nodes
    return to_dense_adj(graph.edge_index, edge_attr=graph.edge_weight, max_num_nodes=n)[0].T


@pytest.mark.parametrize("agreement", ["label", "overlap"])
@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_dense_edges_are_all_pairs_that_agree(agreement, threshold):
    logits, batch = 2 * torch.randn(40, 3), torch.tensor([0] * 15 + [1] * 25)
    graph = class_graph(logits, batch=batch, form="dense", agreement=agreement, threshold=threshold)
    label = logits.argmax(1) if agreement == "label" else torch.zeros(40).long()
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


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"'sampled' or 'dense'.*got 'hubs'"):
        class_graph(torch.zeros(3, 2), form="hubs")


@pytest.mark.parametrize("form", ["sampled", "dense"])
def test_no_threshold_leaves_a_node_alone(form):
    logits = 3 * torch.randn(40, 4)
    graph = class_graph(logits, form=form, k=5, agreement="overlap", threshold=1.0)
    assert graph.edge_index[1].unique().numel() == 40


def test_hubs_equal_all_pairs(device):
    logits = 3 * torch.randn(60, 4, device=device)
    label = torch.randint(4, (60,), device=device)
    batch = torch.tensor([0] * 25 + [1] * 35, device=device)
    x = torch.randn(60, 7, device=device)
    dense = normalize(class_level(logits.cpu(), label.cpu(), batch.cpu()))
    out = class_hubs(logits, label, batch).propagate(x)
    assert torch.allclose(out.cpu(), dense @ x.cpu(), atol=1e-5)


def test_gradient_equals_that_of_all_pairs():
    logits, x = torch.randn(20, 3).double(), torch.randn(20, 4).double().requires_grad_()
    hubs, cotangent = class_hubs(logits), torch.randn(20, 4).double()
    assert torch.autograd.gradcheck(hubs.propagate, (x,))
    (gradient,) = torch.autograd.grad(hubs.propagate(x), x, cotangent)
    dense = normalize(class_level(logits, logits.argmax(1), torch.zeros(20).long()))
    assert torch.allclose(gradient, dense.T @ cotangent)


def test_nodes_of_one_image_and_label_share_their_value_if_equally_sure():
    logits = torch.eye(2)[[0, 0, 1, 0]] * 20
    batch = torch.tensor([0, 0, 0, 1])
    out = class_hubs(logits, batch=batch).propagate(torch.tensor([[1.0], [3], [5], [7]]))
    assert torch.allclose(out.flatten(), torch.tensor([2.0, 2, 5, 7]), atol=1e-4)


def test_memory_is_linear():
    n, c, d = 20_000, 5, 8
    hubs = class_hubs(torch.randn(n, c))
    assert hubs.weight.numel() == n * c  # all pairs would take 400 million
    assert hubs.propagate(torch.randn(n, d)).shape == (n, d)


def test_hubs_as_a_pyg_graph_give_the_same():
    logits, x = torch.randn(30, 3), torch.randn(30, 5)
    hubs = class_hubs(logits, batch=torch.tensor([0] * 10 + [1] * 20))
    graph = hubs.to_hetero()
    assert graph.validate()
    to_hub, to_pixel = graph["pixel", "joins", "hub"], graph["hub", "reaches", "pixel"]
    at_hub = propagate(to_hub.edge_index, to_hub.edge_weight, x, graph["hub"].num_nodes)
    out = propagate(to_pixel.edge_index, to_pixel.edge_weight, at_hub, 30)
    assert torch.allclose(out, hubs.propagate(x), atol=1e-5)


def test_no_nodes_make_no_hubs():
    hubs = class_hubs(torch.zeros(0, 3))
    assert hubs.propagate(torch.zeros(0, 2)).shape == (0, 2)
    graph = hubs.to_hetero()
    assert graph["pixel"].num_nodes == graph["hub"].num_nodes == 0
