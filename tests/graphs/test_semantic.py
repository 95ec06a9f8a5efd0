import torch
from dense import semantic
from torch_geometric.utils import contains_self_loops, is_undirected, to_dense_adj

from graphs import semantic_graph


def test_matches_the_dense_form(device):
    x = torch.randn(40, 6, dtype=torch.float64, device=device)
    batch = torch.tensor([0] * 15 + [1] + [2] * 24, device=device)
    graph = semantic_graph(x, 5, batch)
    adjacency = to_dense_adj(graph.edge_index, edge_attr=graph.edge_weight, max_num_nodes=40)[0]
    assert torch.allclose(adjacency.T.cpu(), semantic(x.cpu(), 5, batch.cpu()))


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
    dense = to_dense_adj(one.edge_index, edge_attr=one.edge_weight, max_num_nodes=30)[0]
    permuted = to_dense_adj(other.edge_index, edge_attr=other.edge_weight, max_num_nodes=30)[0]
    assert torch.allclose(permuted, dense[order][:, order], atol=1e-6)


def test_a_single_pixel_keeps_its_own_value():
    graph = semantic_graph(torch.zeros(1, 3), 20)
    assert graph.edge_index.tolist() == [[0], [0]] and graph.edge_weight.tolist() == [2]
