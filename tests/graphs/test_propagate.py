import torch
from dense import normalize
from torch_geometric.utils import to_dense_adj

from graphs import propagate, semantic_graph, symmetric_norm


def test_matches_the_dense_product(device):
    graph = semantic_graph(torch.randn(30, 5, dtype=torch.float64, device=device), 4)
    x = torch.randn(30, 3, dtype=torch.float64, device=device)
    dense = to_dense_adj(graph.edge_index, edge_attr=graph.edge_weight, max_num_nodes=30)[0]
    weight = symmetric_norm(graph.edge_index, graph.edge_weight, 30)
    out = propagate(graph.edge_index, weight, x)
    assert torch.allclose(out, normalize(dense.cpu()).to(device) @ x)


def test_gradient_flows_to_the_values():
    graph = semantic_graph(torch.randn(12, 5).double(), 3)
    x = torch.randn(12, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: propagate(graph.edge_index, graph.edge_weight, x), (x,)
    )


def test_nodes_without_edges_get_zero():
    edge_index = torch.tensor([[0, 2], [1, 1]])
    out = propagate(edge_index, torch.tensor([1.0, 2.0]), torch.tensor([[1.0], [1.0], [3.0]]))
    assert out.flatten().tolist() == [0, 7, 0]
