import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphs import batch_to_maps, maps_to_nodes, nodes_to_maps, pixel_batch


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


def test_maps_of_different_sizes_make_a_batch_and_come_back(device):
    sizes = [(3, 5), (1, 1), (4, 2)]
    maps = [torch.randn(6, *size, device=device) for size in sizes]
    labels = [torch.randint(4, size, device=device) for size in sizes]
    batch = pixel_batch(maps, label=labels)
    assert batch.ptr.tolist() == [0, 15, 16, 24] and batch.num_graphs == 3
    for name, before in (("x", maps), ("label", labels)):
        back = batch_to_maps(batch[name], batch)
        assert all(torch.equal(a, b) for a, b in zip(back, before, strict=True))


def test_position_is_row_and_column():
    batch = pixel_batch(torch.arange(24.0).view(1, 2, 3, 4))
    for value, (row, column) in zip(batch.x[:, 0].tolist(), batch.pos.tolist(), strict=True):
        assert value == row * 4 + column


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=3))
def test_round_trip_for_all_sizes_empty_ones_included(sizes):
    maps = [torch.randn(2, *size) for size in sizes]
    batch = pixel_batch(maps, first=[m[0] for m in maps])
    back = batch_to_maps(batch.x, batch)
    assert all(torch.equal(a, b) for a, b in zip(back, maps, strict=True))


def test_values_of_another_size_are_refused():
    for size in ((4, 3), (2, 2, 3, 4)):
        with pytest.raises(ValueError, match=r"expected label of image 0 to be \(3, 4\) or \(C, 3"):
            pixel_batch(torch.zeros(2, 8, 3, 4), label=torch.zeros(2, *size))
    with pytest.raises(ValueError, match="expected label for 2 images, got 1"):
        pixel_batch(torch.zeros(2, 8, 3, 4), label=torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match=r"maps \(D, h, w\), got maps of shape \(3, 4\)"):
        pixel_batch(torch.zeros(8, 3, 4))
    batch = pixel_batch(torch.zeros(2, 8, 3, 4))
    with pytest.raises(ValueError, match="each of the 24 pixels, got 5"):
        batch_to_maps(torch.zeros(5), batch)


@pytest.mark.parametrize("name", ["x", "pos", "class_index", "my_batch"])
def test_names_that_mean_something_to_pyg_are_refused(name):
    maps = torch.zeros(1, 2, 3, 3)
    with pytest.raises(ValueError, match=f"another name than '{name}'"):
        pixel_batch(maps, **{name: maps})


def test_maps_of_different_width_and_none_at_all_are_refused():
    with pytest.raises(ValueError, match="one number of channels, got 2 and 3"):
        pixel_batch([torch.zeros(2, 3, 3), torch.zeros(3, 3, 3)])
    with pytest.raises(ValueError, match="at least one map"):
        pixel_batch([])
