import pytest
import torch

from graphs import maps_to_nodes, nodes_to_maps


def test_round_trip_on_a_map_that_is_not_square(device):
    maps = torch.arange(2 * 3 * 4 * 5, device=device).view(2, 3, 4, 5)
    x, batch = maps_to_nodes(maps)
    assert torch.equal(nodes_to_maps(x, 4, 5), maps)
    assert batch.tolist() == [0] * 20 + [1] * 20


def test_node_number_is_row_times_width_plus_column():
    maps = torch.rand(2, 3, 4, 5)
    x, _ = maps_to_nodes(maps)
    assert torch.equal(x[20 + 2 * 5 + 3], maps[1, :, 2, 3])


@pytest.mark.parametrize("shape", [(3, 4), (1, 2, 3), (1, 1, 2, 3, 4)])
def test_wrong_rank_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected maps \(B, D, h, w\), got shape"):
        maps_to_nodes(torch.zeros(shape))


def test_nodes_that_fill_no_map_are_refused():
    with pytest.raises(ValueError, match=r"maps of 4x5, got shape \(21, 3\)"):
        nodes_to_maps(torch.zeros(21, 3), 4, 5)
