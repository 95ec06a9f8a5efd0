import pytest
import torch
import torch.nn.functional as F

from graphs import nearest_neighbors


@pytest.mark.parametrize("chunk_size", [1, 7, 4096])
def test_matches_brute_force(chunk_size, device):
    x = torch.randn(30, 8, dtype=torch.float64, device=device)
    batch = torch.tensor([0] * 11 + [1] * 19, device=device)
    index, similarity = nearest_neighbors(x, 4, batch, chunk_size)
    for i in range(30):
        others = [j for j in range(30) if j != i and batch[j] == batch[i]]
        cosine = {j: F.cosine_similarity(x[i], x[j], dim=0).item() for j in others}
        expected = sorted(others, key=lambda j: -cosine[j])[:4]
        assert index[i].tolist() == expected
        assert similarity[i].tolist() == pytest.approx([cosine[j] for j in expected])


def test_missing_neighbors_are_the_node_itself_without_weight():
    x = torch.randn(4, 3)
    index, similarity = nearest_neighbors(x, 5, torch.tensor([0, 0, 0, 1]))
    assert index[3].tolist() == [3] * 5 and similarity[3].tolist() == [0] * 5
    assert index[0, 2:].tolist() == [0] * 3 and similarity[0, 2:].tolist() == [0] * 3


def test_a_node_is_not_its_own_neighbor_even_among_duplicates():
    index, similarity = nearest_neighbors(torch.ones(6, 4), 3)
    assert (index != torch.arange(6)[:, None]).all()
    assert torch.allclose(similarity, torch.ones(6, 3))


def test_zero_vectors_are_similar_to_nothing():
    _, similarity = nearest_neighbors(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 2)
    assert similarity[0].tolist() == [0, 0]


def test_computes_in_float32_under_autocast(device):
    x = torch.randn(50, 16, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        index, similarity = nearest_neighbors(x, 5)
    assert similarity.dtype == torch.float32
    assert torch.equal(index, nearest_neighbors(x, 5).indices)


@pytest.mark.parametrize(
    "x, k, batch, message",
    [
        (torch.zeros(3), 1, None, r"expected node features \(N, D\), got shape \(3,\)"),
        (torch.zeros(3, 2), 0, None, "expected k >= 1 neighbors, got 0"),
        (torch.full((3, 2), torch.nan), 1, None, "NaN or infinity"),
        (torch.zeros(3, 2), 1, torch.zeros(2).long(), r"shape \(3,\).*got \(2,\)"),
        (torch.zeros(3, 2), 1, torch.tensor([0, 1, 0]), "ascending"),
    ],
)
def test_bad_input_is_refused(x, k, batch, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(x, k, batch)
