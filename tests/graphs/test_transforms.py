import inspect
import sys

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import Batch, Data

from graphs import ClassLevelGraph, SemanticLevelGraph, class_graph, semantic_graph


def test_transform_composes_and_keeps_images_apart():
    transform = T.Compose([SemanticLevelGraph(k=3), T.ToUndirected(reduce="max")])
    data = transform(Batch.from_data_list([Data(x=torch.randn(9, 4)), Data(x=torch.randn(7, 4))]))
    source, target = data.edge_index
    assert torch.equal(data.batch[source], data.batch[target])
    assert repr(SemanticLevelGraph(k=3)) == "SemanticLevelGraph(k=3)"


def test_transform_with_a_window_reads_the_positions():
    pos = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    data = SemanticLevelGraph(k=50, radius=1)(Data(x=torch.rand(36, 4), pos=pos))
    source, target = data.edge_index
    assert (pos[source] - pos[target]).abs().max() == 1


def test_sparse_form_is_the_same_graph():
    torch_sparse = pytest.importorskip("torch_sparse", reason="the extra sparse is not installed")
    x = torch.randn(20, 4)
    data = SemanticLevelGraph(k=3, sparse=True)(Data(x=x))
    assert isinstance(data.adj_t, torch_sparse.SparseTensor)
    graph = semantic_graph(x, 3)
    expected = torch.zeros(20, 20).index_put(tuple(graph.edge_index.flip(0)), graph.edge_weight)
    assert torch.equal(data.adj_t.to_dense(), expected)


def test_sparse_form_without_torch_sparse_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_sparse", None)
    with pytest.raises(ImportError, match=r"pip install .* 'pyg_mllc\[sparse\]'"):
        SemanticLevelGraph(k=3, sparse=True)(Data(x=torch.randn(20, 4)))


def test_both_graphs_over_the_same_nodes_keep_names_of_their_own():
    data = Data(x=torch.randn(20, 4), logits=torch.randn(20, 3))
    both = T.Compose([SemanticLevelGraph(k=3, name="semantic"), ClassLevelGraph(k=3, name="class")])
    assert repr(both.transforms[0]) == "SemanticLevelGraph(k=3, name='semantic')"
    batch = Batch.from_data_list([both(data.clone()), both(data.clone())])
    for name in ("semantic", "class"):
        edges = batch[f"{name}_edge_index"]
        assert torch.equal(edges[0] // 20, edges[1] // 20) and edges.max() >= 20


def test_transform_gives_the_edges_to_data():
    data = Data(logits=torch.randn(20, 3), num_nodes=20, edge_attr=torch.zeros(1))
    transform = ClassLevelGraph(form="dense", threshold=0.5)
    out = transform(data)
    expected = class_graph(data.logits, form="dense", threshold=0.5)
    assert torch.equal(out.edge_index, expected.edge_index) and "edge_attr" not in out
    assert repr(transform) == "ClassLevelGraph(form='dense', threshold=0.5)"


def test_data_without_the_logits_is_refused():
    with pytest.raises(ValueError, match=r"expected data with 'logits', got \['x'\]"):
        ClassLevelGraph()(Data(x=torch.rand(3, 2)))


@pytest.mark.parametrize("transform", [SemanticLevelGraph, ClassLevelGraph])
def test_unknown_options_are_refused(transform):
    with pytest.raises(TypeError, match="unexpected keyword argument 'radios'"):
        transform(radios=2)


@pytest.mark.parametrize(
    "transform, builder", [(SemanticLevelGraph, semantic_graph), (ClassLevelGraph, class_graph)]
)
def test_options_and_defaults_are_those_of_the_builder(transform, builder):
    options = inspect.signature(builder).parameters
    for name, option in inspect.signature(transform).parameters.items():
        if name not in ("sparse", "name", "logits"):
            assert option.default == options[name].default, name
