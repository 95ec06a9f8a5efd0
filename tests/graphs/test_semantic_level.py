import math

import pytest
import torch
from dense import semantic
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.utils import contains_self_loops, is_undirected, to_dense_adj

from graphs import gaussian_affinity, semantic_graph


def adjacency(graph):
    n = graph.num_nodes
    return to_dense_adj(graph.edge_index, edge_attr=graph.edge_weight, max_num_nodes=n)[0].T


def test_matches_the_dense_form(device):
    x = torch.randn(40, 6, dtype=torch.float64, device=device)
    batch = torch.tensor([0] * 15 + [1] + [2] * 24, device=device)
    graph = semantic_graph(x, 5, batch)
    assert torch.allclose(adjacency(graph).cpu(), semantic(x.cpu(), 5, batch.cpu()))


def test_is_undirected_with_self_loops_and_each_pair_once():
    graph = semantic_graph(torch.randn(50, 4), 6)
    assert is_undirected(graph.edge_index, graph.edge_weight)
    assert contains_self_loops(graph.edge_index)
    assert graph.edge_index.unique(dim=1).shape == graph.edge_index.shape
    assert (graph.edge_weight > 0).all() and (graph.edge_index[1].diff() >= 0).all()


def test_never_joins_two_images():
    batch = torch.tensor([0] * 20 + [1] * 30)
    source, target = semantic_graph(torch.ones(50, 4), 40, batch).edge_index
    assert torch.equal(batch[source], batch[target])


def test_permuting_nodes_permutes_the_graph():
    x, order = torch.randn(30, 5), torch.randperm(30)
    one, other = semantic_graph(x, 4), semantic_graph(x[order], 4)
    assert torch.allclose(adjacency(other), adjacency(one)[order][:, order], atol=1e-6)


def test_more_neighbors_than_there_are_take_no_memory():
    x, batch = torch.rand(50, 4), torch.tensor([0] * 20 + [1] * 30)
    joined = semantic_graph(x, 10**12, batch)
    assert torch.equal(adjacency(joined), adjacency(semantic_graph(x, 29, batch)))


def test_a_single_pixel_keeps_its_own_value():
    graph = semantic_graph(torch.zeros(1, 3), 20)
    assert graph.edge_index.tolist() == [[0], [0]] and graph.edge_weight.tolist() == [2]


def test_gaussian_affinity_of_distances():
    x = torch.tensor([[0.0], [1.0], [3.0]])
    graph = semantic_graph(x, 1, affinity=lambda s: gaussian_affinity(s, 2.0), metric="l2")
    dense = adjacency(graph)
    assert dense[0, 1] == pytest.approx(2 * math.exp(-1 / 2))  # nearest both ways
    assert dense[1, 2] == pytest.approx(math.exp(-4 / 2))  # one way only
    assert dense[0, 2] == 0


def test_the_default_affinity_fits_the_metric():
    graph = semantic_graph(0.1 * torch.randn(50, 3), 5, metric="l2")
    assert graph.num_edges > 250 and graph.edge_weight.max() <= 2


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(1, 9), st.integers(1, 4))
def test_any_sizes_give_a_valid_graph(sizes, k, width):
    batch = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    graph = semantic_graph(torch.randn(sum(sizes), width), k, batch)
    source, target = graph.edge_index
    assert torch.equal(batch[source], batch[target])
    assert torch.equal(source[source == target], torch.arange(sum(sizes)))
    if len(source):
        assert is_undirected(graph.edge_index, graph.edge_weight)


def test_an_affinity_of_one_joins_no_missing_neighbors():
    graph = semantic_graph(
        torch.randn(4, 3), 3, torch.tensor([0, 0, 1, 1]), affinity=torch.ones_like
    )
    assert graph.edge_index.min() >= 0 and graph.edge_index.size(1) == 8


def test_affinities_that_do_not_fit_the_metric_are_refused():
    with pytest.raises(ValueError, match=r"affinities in \[0, 1\]"):
        semantic_graph(torch.randn(5, 3), 2, affinity=gaussian_affinity)
    with pytest.raises(ValueError, match="scale above 0, got 0"):
        gaussian_affinity(torch.zeros(1), 0)
