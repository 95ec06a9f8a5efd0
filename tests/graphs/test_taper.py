import torch
from dense import tapered as expected_taper

from graphs import AnchorMemory, anchor_graph, class_hubs, semantic_graph
from graphs.taper import num_tapered, taper_weights


def sorted_similarity(n, count, scale=1.0):
    return scale * torch.rand(n, count).double().sort(1, descending=True).values


def test_matches_the_definition():
    for k in (1, 2, 5, 20):
        similarity = sorted_similarity(6, 40)
        weight = taper_weights(similarity[:, : num_tapered(k) + 1], k)
        expected = torch.stack([expected_taper(row, k) for row in similarity])
        assert torch.allclose(weight, expected[:, : num_tapered(k)])
        assert not expected[:, num_tapered(k) + 1 :].any()


def test_the_last_neighbor_and_the_next_may_swap_places():
    """Whichever of two that tie comes last, nothing changes, for any scale of similarities."""
    for scale in (1e-6, 1e-3, 1.0, 1e3):
        near = sorted_similarity(50, num_tapered(20) + 2, scale)
        near[:, -2] = near[:, -3]  # the last that gets a weight ties with the first that gets none
        weight = taper_weights(near[:, :-1], 20)
        assert (weight[:, -1] <= 1e-9 / (near[:, 10] - near[:, -2])).all()


def test_weights_sum_to_about_k():
    weight = taper_weights(sorted_similarity(500, num_tapered(20) + 1), 20)
    assert 18 < weight.sum(1).mean() < 22


def test_who_has_few_neighbors_keeps_all():
    similarity = torch.tensor([[0.5, 0.4, -torch.inf, -torch.inf]])
    assert taper_weights(similarity, 2).tolist() == [[1, 1, 1]]


def dense(edge_index, edge_weight, n=64):
    return torch.zeros(n, n, dtype=edge_weight.dtype).index_put(tuple(edge_index), edge_weight)


def jump(build, x, step=1e-7):
    """How much weights change by a small step of the features, per unit of the step, at most."""
    return (build(x + step * torch.randn_like(x)) - build(x)).abs().max() / step


def test_graphs_are_continuous_where_neighbors_tie():
    """Points on a lattice, where many tie: a step of 1e-7 moves weights by as little."""
    lattice = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0)).double() / 8
    memory = AnchorMemory(2, 2, budget=64).double()
    memory.add(lattice, torch.arange(64) % 2)

    def semantic(x, smooth=True):
        graph = semantic_graph(x, 6, metric="l2", smooth=smooth)
        return dense(graph.edge_index, graph.edge_weight)

    def anchors(x, smooth=True):
        edges = anchor_graph(x, memory, 6, smooth=smooth)["anchor", "tells", "pixel"]
        return dense(edges.edge_index, edges.edge_weight)

    for build in (semantic, anchors):
        assert jump(build, lattice) < 1e3
        assert jump(lambda x, build=build: build(x, smooth=False), lattice) > 1e5


def test_hubs_of_overlapping_posteriors_are_all_pairs_of_an_image():
    logits, x = torch.randn(30, 4).double(), torch.randn(30, 5).double()
    batch = torch.tensor([0] * 12 + [1] * 18)
    q = torch.nn.functional.normalize(logits.softmax(1), dim=1)
    g = (q @ q.T) * (batch[:, None] == batch)
    scale = (g.sum(1) + 1e-10).rsqrt()
    g = scale[:, None] * g * scale
    hubs = class_hubs(logits, batch=batch, agreement="overlap")
    assert torch.allclose(hubs.propagate(x), g @ x)
    for node in (0, 13, 29):
        assert torch.allclose(hubs.weights_to(node), g[node])
