from functools import partial

import numpy as np
import pytest
import torch

from graphs import ExactSearch, IVFSearch, automatic_search, nearest_neighbors

SEARCHES = [
    *(partial(ExactSearch, rows=size, columns=11) for size in (1, 7, 4096)),
    partial(IVFSearch, nlist=3, nprobe=3),  # all cells: exact, too
]


def brute_force(x, i, among, metric):
    """Similarities of node i to others, by a loop."""
    if metric == "cosine":
        return {j: float(x[i] @ x[j] / (x[i].norm() * x[j].norm())) for j in among}
    return {j: -float((x[i] - x[j]).square().sum()) for j in among}


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("search", SEARCHES)
def test_matches_brute_force(search, metric, device):
    x = torch.randn(30, 8, dtype=torch.float64, device=device)
    batch = torch.tensor([0] * 11 + [1] * 19, device=device)
    indices, similarity = nearest_neighbors(x, 4, batch, search=search, metric=metric)
    for i in range(30):
        expected = brute_force(
            x, i, [j for j in range(30) if j != i and batch[j] == batch[i]], metric
        )
        best = sorted(expected, key=lambda j: -expected[j])[:4]
        assert indices[i].tolist() == best
        assert similarity[i].tolist() == pytest.approx([expected[j] for j in best])


@pytest.mark.parametrize("search", SEARCHES)
def test_queries_are_other_nodes_than_those_searched(search):
    x, query = torch.randn(20, 5).double(), torch.randn(7, 5).double()
    batch, query_batch = torch.tensor([0] * 8 + [2] * 12), torch.tensor([0, 0, 1, 2, 2, 2, 2])
    found = nearest_neighbors(x, 3, batch, query=query, query_batch=query_batch, search=search)
    for i in range(7):
        nodes = [j for j in range(20) if batch[j] == query_batch[i]]
        expected = brute_force(torch.cat([x, query]), 20 + i, nodes, "cosine")
        best = sorted(expected, key=lambda j: -expected[j])[:3]
        assert found.indices[i].tolist() == (best or [-1] * 3)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("radius", [1, 2])
def test_window_gives_the_best_among_the_nodes_around(metric, radius):
    pos = torch.cartesian_prod(torch.arange(5), torch.arange(7))
    pos = pos[torch.rand(35) < 0.8]  # a sample of the pixels: some are missing
    x = torch.randn(2 * len(pos), 6).double()
    batch = torch.arange(2).repeat_interleave(len(pos))
    found = nearest_neighbors(x, 4, batch, metric=metric, pos=pos.repeat(2, 1), radius=radius)
    for i in range(len(x)):
        near = (pos.repeat(2, 1) - pos[i % len(pos)]).abs().amax(1) <= radius
        nodes = [j for j in range(len(x)) if near[j] and j != i and batch[j] == batch[i]]
        expected = brute_force(x, i, nodes, metric)
        best = sorted(expected, key=lambda j: -expected[j])[:4]
        assert found.indices[i].tolist() == best + [-1] * (4 - len(best))


def test_window_takes_no_memory_for_the_places_between_nodes():
    there = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    x = torch.randn(32, 6)
    near, far = (
        nearest_neighbors(x, 30, pos=torch.cat([there - away, there + away]), radius=2).indices
        for away in (10, 10**8)
    )
    assert torch.equal(near, far)


def test_few_cells_find_most_neighbors_of_clustered_nodes():
    centers = torch.randn(40, 16)
    x = centers[torch.randint(40, (4000,))] + 0.2 * torch.randn(4000, 16)
    exact = nearest_neighbors(x, 20).indices
    search = partial(IVFSearch, nprobe=8)
    found = nearest_neighbors(x, 20, search=search).indices
    recall = (found[:, :, None] == exact[:, None]).any(2).float().mean()
    assert recall > 0.9
    assert torch.equal(found, nearest_neighbors(x, 20, search=search).indices)


@pytest.mark.parametrize("search", SEARCHES)
def test_missing_neighbors_are_marked(search):
    x = torch.randn(4, 3)
    indices, similarity = nearest_neighbors(x, 5, torch.tensor([0, 0, 0, 1]), search=search)
    assert indices[3].tolist() == [-1] * 5 and similarity[3].isneginf().all()
    assert sorted(indices[0].tolist()) == [-1, -1, -1, 1, 2]


@pytest.mark.parametrize("sizes", [[0], [1], [0, 2, 0, 1], [3, 0]])
def test_images_without_nodes_or_with_a_single_one(sizes):
    batch = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    indices, _ = nearest_neighbors(torch.randn(sum(sizes), 3), 2, batch)
    assert indices.shape == (sum(sizes), 2)
    found = indices[indices >= 0]
    assert torch.equal(batch[found], batch[:, None].expand(-1, 2)[indices >= 0])


def test_a_node_is_not_its_own_neighbor_even_among_duplicates():
    indices, similarity = nearest_neighbors(torch.full((6, 4), 0.3), 3)
    assert (similarity <= 1).all()
    assert (indices != torch.arange(6)[:, None]).all()
    assert torch.allclose(similarity, torch.ones(6, 3))


def test_zero_vectors_are_similar_to_nothing():
    _, similarity = nearest_neighbors(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 2)
    assert similarity[0].tolist() == [0, 0]


@pytest.mark.parametrize("window", [False, True])
def test_computes_in_float32_under_autocast(window, device):
    x = torch.randn(50, 16, device=device)
    pos = torch.cartesian_prod(torch.arange(5), torch.arange(10)).to(device)
    options = {"pos": pos, "radius": 2} if window else {}
    with torch.autocast(device.type, dtype=torch.bfloat16):
        found = nearest_neighbors(x, 5, **options)
    expected = nearest_neighbors(x, 5, **options)
    assert found.similarity.dtype == torch.float32
    assert torch.equal(found.indices, expected.indices)
    assert torch.equal(found.similarity, expected.similarity)
    half = nearest_neighbors(x.bfloat16(), 5, **options)
    assert half.similarity.dtype == torch.float32


def test_long_rows_match_brute_force():
    x, query = torch.randn(1500, 4).double(), torch.randn(3, 4).double()
    found = nearest_neighbors(x, 5, query=query, metric="l2")
    for i in range(3):
        expected = brute_force(torch.cat([x, query]), 1500 + i, range(1500), "l2")
        assert found.indices[i].tolist() == sorted(expected, key=lambda j: -expected[j])[:5]


def test_automatic_search_is_exact_as_long_as_it_can_be():
    x = torch.randn(100, 4)
    assert isinstance(automatic_search(x, "cosine"), ExactSearch)
    assert isinstance(automatic_search(x, "cosine", exact_up_to=99), IVFSearch)


@pytest.mark.parametrize(
    "x, k, batch, message",
    [
        (torch.zeros(3), 1, None, r"tensor \(N, D\).*got shape \(3,\)"),
        (torch.zeros(3, 2), 0, None, "neighbors >= 1, got 0"),
        (torch.full((3, 2), torch.nan), 1, None, "NaN or infinity"),
        (torch.zeros(3, 2), 1, torch.zeros(2).long(), r"batch \(3,\).*got shape \(2,\)"),
        (torch.zeros(3, 2), 1, torch.tensor([0, 1, 0]), "ascending"),
    ],
)
def test_bad_input_is_refused(x, k, batch, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(x, k, batch)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"metric": "dot"}, "'cosine' or 'l2', got 'dot'"),
        ({"query": torch.zeros(2, 5)}, r"query \(M, 2\), as wide as x, got \(2, 5\)"),
        ({"radius": 1}, r"expected pos \(3, 2\).*got None"),
        ({"pos": torch.zeros(3, 2)}, "radius with pos, got pos alone"),
        ({"query": torch.zeros(2, 2), "batch": torch.zeros(3).long()}, "query_batch together"),
        ({"radius": 0, "pos": torch.zeros(3, 2)}, "pixels >= 1, got 0"),
        ({"radius": 1, "query": torch.zeros(1, 2)}, "no query with radius"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(torch.zeros(3, 2), 1, **options)


def test_distances_are_right_far_from_the_origin():
    x = 100 + 0.1 * torch.randn(200, 64)
    exact = nearest_neighbors(x.double(), 5, metric="l2")
    found = nearest_neighbors(x, 5, metric="l2")
    assert (found.indices == exact.indices).float().mean() > 0.99
    assert torch.allclose(found.similarity.double(), exact.similarity, rtol=1e-3)


def test_identical_nodes_do_not_cost_memory_in_ivf_search():
    found = nearest_neighbors(torch.ones(5000, 4), 3, search=IVFSearch)
    assert (found.indices >= 0).all() and (found.indices != torch.arange(5000)[:, None]).all()


def test_images_may_have_any_numbers():
    x, few, many = torch.randn(10, 3), torch.tensor([0] * 4 + [1] * 6), torch.tensor([3, 10**12])
    assert torch.equal(
        nearest_neighbors(x, 2, few).indices, nearest_neighbors(x, 2, many[few]).indices
    )


def test_queries_of_another_precision_are_brought_to_the_nodes():
    x, query = torch.randn(10, 3), torch.randn(4, 3)
    found = nearest_neighbors(x, 2, query=query)
    for dtype in (torch.float64, torch.float32):
        assert torch.equal(nearest_neighbors(x, 2, query=query.to(dtype)).indices, found.indices)
    assert nearest_neighbors(x.double(), 2, query=query).similarity.dtype == torch.float64


def test_points_in_space_keep_their_precision_in_a_wide_scene():
    x = torch.rand(300, 3) + 5000 * torch.randint(2, (300, 1))  # two objects, kilometers apart
    exact = nearest_neighbors(x.double(), 5, metric="l2").indices
    assert (nearest_neighbors(x, 5, metric="l2").indices == exact).float().mean() > 0.99


def test_a_window_asks_for_one_node_per_pixel():
    x, pos = torch.randn(3, 2), torch.tensor([[0, 0], [0, 1], [0, 1]])
    with pytest.raises(ValueError, match="one node per row and column"):
        nearest_neighbors(x, 1, pos=pos, radius=1)
    with pytest.raises(ValueError, match="whole rows and columns"):
        nearest_neighbors(x, 1, pos=pos + 0.5, radius=1)


def test_any_whole_number_is_a_number_of_neighbors():
    x = torch.randn(9, 4)
    found, expected = nearest_neighbors(x, np.int64(3)), nearest_neighbors(x, 3)
    assert torch.equal(found.indices, expected.indices)
