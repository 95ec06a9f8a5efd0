import sys
from importlib.util import find_spec

import pytest
import torch
from dense import normalize
from torch_geometric.data import Data
from torch_geometric.utils import to_dense_adj

from graphs import SemanticLevelGraph, propagate, random_walk_norm, semantic_graph, symmetric_norm


def needs(package, *values):
    """A case that is skipped where a package of the extra `sparse` is not installed."""
    reason = f"{package}, of the extra sparse, is not installed"
    return pytest.param(*values, marks=pytest.mark.skipif(not find_spec(package), reason=reason))


BACKENDS = ["auto", "bag", needs("torch_sparse", "spmm"), needs("torch_scatter", "segment")]
EDGES = {  # sources and targets, numbers of sources and targets
    "sorted by target": ([[1, 3, 0, 2, 2], [0, 0, 1, 3, 3]], 4, 4),
    "in any order": ([[2, 0, 3, 1, 2], [3, 1, 0, 0, 0]], 4, 4),
    "of two sets of nodes": ([[4, 0, 2, 4], [0, 1, 1, 2]], 5, 3),
    "isolated nodes": ([[1, 3], [5, 5]], 8, 8),
    "no edges": ([[], []], 3, 3),
    "no sources": ([[], []], 0, 2),
    "no targets": ([[], []], 2, 0),
    "no nodes": ([[], []], 0, 0),
}


def test_matches_the_dense_product(device):
    graph = semantic_graph(torch.randn(30, 5, dtype=torch.float64, device=device), 4)
    x = torch.randn(30, 3, dtype=torch.float64, device=device)
    dense = to_dense_adj(graph.edge_index, edge_attr=graph.edge_weight, max_num_nodes=30)[0]
    weight = symmetric_norm(graph.edge_index, graph.edge_weight, 30)
    out = propagate(graph.edge_index, weight, x)
    assert torch.allclose(out, normalize(dense.cpu()).to(device) @ x)


@pytest.mark.parametrize("norm", [symmetric_norm, random_walk_norm])
def test_gradients_to_values_and_weights(norm):
    graph = semantic_graph(torch.randn(12, 5).double(), 3)
    x = torch.randn(12, 2).double().requires_grad_()
    weight = norm(graph.edge_index, graph.edge_weight, 12).requires_grad_()
    assert torch.autograd.gradcheck(lambda w, x: propagate(graph.edge_index, w, x), (weight, x))


def test_from_one_set_of_nodes_to_another():
    edge_index, weight = torch.tensor([[4, 0, 2], [0, 2, 2]]), torch.tensor([1.0, 2.0, 3.0])
    x = torch.arange(10.0).view(5, 2).double().requires_grad_()
    out = propagate(edge_index, weight, x, num_targets=3)
    assert out.tolist() == [[8, 9], [0, 0], [12, 17]]
    out.sum().backward()
    assert x.grad[:, 0].tolist() == [2, 0, 3, 0, 1]


def test_random_walk_gives_means():
    graph = semantic_graph(torch.rand(20, 5), 4)
    weight = random_walk_norm(graph.edge_index, graph.edge_weight, 20)
    assert torch.allclose(propagate(graph.edge_index, weight, torch.ones(20, 1)), torch.ones(20, 1))


def test_float32_under_autocast(device):
    edge_index = torch.tensor([[0, 1], [1, 1]], device=device)
    weight, x = torch.rand(2, device=device), torch.rand(2, 3, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        out = propagate(edge_index, weight, x.bfloat16())
    assert out.dtype == torch.float32
    assert torch.equal(out, propagate(edge_index, weight, x.bfloat16().float()))


def test_in_a_directed_graph_what_no_edge_enters_has_no_say():
    edge_index, edge_weight = torch.tensor([[0, 1], [1, 2]]), torch.tensor([1.0, 1.0])
    assert symmetric_norm(edge_index, edge_weight, 3).tolist() == [0.0, 1.0]


def test_nodes_without_edges_get_zero():
    edge_index = torch.tensor([[0, 2], [1, 1]])
    out = propagate(edge_index, torch.tensor([1.0, 2.0]), torch.tensor([[1.0], [1.0], [3.0]]))
    assert out.flatten().tolist() == [0, 7, 0]


def test_the_order_of_the_edges_does_not_matter():
    graph = semantic_graph(torch.randn(20, 5), 4)
    x, order = torch.randn(20, 3), torch.randperm(graph.num_edges)
    expected = propagate(graph.edge_index, graph.edge_weight, x)
    out = propagate(graph.edge_index[:, order], graph.edge_weight[order], x)
    assert torch.allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize(
    "edges, weight, x, targets, message",
    [
        ((3, 2), (2,), (4, 1), None, r"edge_index \(2, E\).*got \(3, 2\) and \(2,\)"),
        ((2, 3), (2,), (4, 1), None, r"got \(2, 3\) and \(2,\)"),
        ((2, 3), (3,), (4,), None, r"values \(N, D\), got \(4,\)"),
        ((2, 3), (3,), (4, 1), 3, "targets from 0 to 2, got 3 to 3 and 3 to 3"),
        ((2, 3), (3,), (3, 1), 4, "sources from 0 to 2 and targets from 0 to 3"),
    ],
)
def test_edges_that_do_not_fit_are_refused(edges, weight, x, targets, message):
    with pytest.raises(ValueError, match=message):
        propagate(torch.full(edges, 3), torch.zeros(weight), torch.zeros(x), targets)


@pytest.mark.parametrize("norm", [symmetric_norm, random_walk_norm])
@pytest.mark.parametrize(
    "edges, weight, message",
    [
        ([[0, 1], [1, 3]], 2, "targets from 0 to 2, got 0 to 1 and 1 to 3"),
        ([[0, 1], [1, -1]], 2, "targets from 0 to 2, got 0 to 1 and -1 to 1"),
        ([[0, 1], [1, 2]], 1, r"edge_weight \(E,\), got \(2, 2\) and \(1,\)"),
        ([[0.0, 1.0], [1.0, 2.0]], 2, "edge_index of whole numbers, got .*float32"),
    ],
)
def test_norms_refuse_edges_that_do_not_fit(norm, edges, weight, message):
    with pytest.raises(ValueError, match=message):
        norm(torch.tensor(edges), torch.ones(weight), 3)


def test_functional_gradients_are_the_usual_ones():
    graph = semantic_graph(torch.randn(12, 5).double(), 3)
    x = torch.randn(12, 2).double().requires_grad_()

    def energy(x):
        return propagate(graph.edge_index, graph.edge_weight, x).square().sum()

    assert torch.allclose(torch.func.grad(energy)(x), torch.autograd.grad(energy(x), x)[0])


def dense_sum(edge_index, edge_weight, x, num_targets):
    """The sum as a dense matrix product, in float32 at least."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    adjacency = torch.zeros(num_targets, len(x), dtype=dtype)
    adjacency = adjacency.index_put(tuple(edge_index.flip(0)), edge_weight.to(dtype), True)
    return adjacency @ x.to(dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("edges, sources, targets", EDGES.values(), ids=EDGES)
def test_backends_are_equal_with_gradients(backend, dtype, edges, sources, targets):
    edge_index = torch.tensor(edges, dtype=torch.long)
    # Quarters, of which half precision holds every sum exactly, so that gradients can be compared.
    weight = (torch.randint(1, 9, (edge_index.size(1),)) / 4).to(dtype).requires_grad_()
    x = (torch.randint(-8, 9, (sources, 3)) / 4).to(dtype).requires_grad_()
    cotangent = torch.randint(-2, 3, (targets, 3)).to(torch.promote_types(dtype, torch.float32))
    out = propagate(edge_index, weight, x, targets, backend=backend)
    expected = dense_sum(edge_index, weight, x, targets)
    assert out.shape == (targets, 3) and out.dtype == expected.dtype
    assert torch.allclose(out, expected, atol=1e-5)
    gradients = torch.autograd.grad(out, (weight, x), cotangent)
    for gradient, wanted in zip(
        gradients, torch.autograd.grad(expected, (weight, x), cotangent), strict=True
    ):
        assert gradient.dtype == dtype and torch.allclose(gradient, wanted, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "form", ["edges", "torch COO", "torch CSR", needs("torch_sparse", "SparseTensor")]
)
def test_backends_take_every_form_of_the_same_graph(backend, form):
    data = Data(x=torch.randn(40, 5))
    graph = SemanticLevelGraph(k=4)(data.clone())
    x = torch.randn(40, 3, requires_grad=True)
    expected = propagate(graph.edge_index, graph.edge_weight, x)
    weight = None
    if form == "edges":
        adj_t, weight = graph.edge_index, graph.edge_weight
    elif form == "SparseTensor":
        adj_t = SemanticLevelGraph(k=4, sparse=True)(data.clone()).adj_t
    else:
        adj_t = torch.sparse_coo_tensor(graph.edge_index.flip(0), graph.edge_weight, (40, 40))
        adj_t = adj_t.to_sparse_csr() if form == "torch CSR" else adj_t
    out = propagate(adj_t, weight, x, backend=backend)
    assert torch.allclose(out, expected, atol=1e-5)
    gradient, wanted = (torch.autograd.grad(o.square().sum(), x)[0] for o in (out, expected))
    assert torch.allclose(gradient, wanted, atol=1e-5)


def test_a_sparse_matrix_of_two_sets_of_nodes():
    adj_t = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]])
    x = torch.randn(3, 2)
    for sparse in (adj_t.to_sparse(), adj_t.to_sparse_csr()):
        assert torch.allclose(propagate(sparse, None, x), adj_t @ x)
    with pytest.raises(ValueError, match=r"sparse matrix \(M, 4\), got \(2, 3\)"):
        propagate(adj_t.to_sparse(), None, torch.randn(4, 2))
    with pytest.raises(ValueError, match=r"sparse matrix \(5, 3\), got \(2, 3\)"):
        propagate(adj_t.to_sparse(), None, x, num_targets=5)
    with pytest.raises(ValueError, match="edge_weight=None with a sparse matrix"):
        propagate(adj_t.to_sparse(), torch.ones(3), x)


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_of_no_columns(backend):
    out = propagate(torch.tensor([[0], [1]]), torch.ones(1), torch.ones(2, 0), backend=backend)
    assert out.shape == (2, 0)


def test_without_weights_each_edge_counts_once():
    out = propagate(torch.tensor([[0, 1], [1, 1]]), None, torch.tensor([[2.0], [3.0]]))
    assert out.tolist() == [[0], [5]]


@pytest.mark.parametrize("backend, package", [("spmm", "sparse"), ("segment", "scatter")])
def test_a_missing_package_is_named_with_its_extra(backend, package, monkeypatch):
    monkeypatch.setitem(sys.modules, f"torch_{package}", None)
    message = f"^backend='{backend}' needs torch-{package}, .*pip install .*'pyg_mllc.sparse.'$"
    with pytest.raises(ImportError, match=message):
        propagate(torch.tensor([[0], [0]]), torch.ones(1), torch.ones(1, 1), backend=backend)


def test_unknown_backends_are_refused():
    with pytest.raises(ValueError, match="'auto', 'bag', 'spmm' or 'segment', got 'csr'"):
        propagate(torch.tensor([[0], [0]]), torch.ones(1), torch.ones(1, 1), backend="csr")
