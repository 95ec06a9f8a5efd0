import pytest
import torch

from graphs import knn_interpolate, pixel_batch, sample_nodes


@pytest.fixture
def batch():
    return pixel_batch([torch.randn(4, 9, 12), torch.randn(4, 2, 3), torch.randn(4, 20, 7)])


@pytest.mark.parametrize("rule", ["uniform", "class", "uncertainty"])
def test_draws_as_many_nodes_of_each_image_as_asked(batch, rule, device):
    batch = batch.to(device)
    n = len(batch.batch)
    values = {"label": torch.randint(3, (n,)), "uncertainty": torch.rand(n)}
    values = {name: value.to(device) for name, value in values.items()}
    chosen = sample_nodes(batch, 10, rule, **values)
    assert torch.bincount(batch.batch[chosen]).tolist() == [10, 6, 10]
    assert (chosen.diff() > 0).all()


def test_all_and_grid_need_no_chance(batch):
    assert len(sample_nodes(batch, 1, "all")) == len(batch.batch)
    chosen = sample_nodes(batch, 12, "grid")
    rows, columns = batch.pos[chosen][batch.batch[chosen] == 0].T
    assert rows.unique().tolist() == [1, 4, 7] and columns.unique().tolist() == [1, 4, 7, 10]


def test_class_balance_favors_rare_labels(batch):
    label = torch.zeros(len(batch.batch)).long()
    label[:5] = 1  # 5 of 108 pixels of the first image
    chosen = sample_nodes(batch, 20, "class", label=label)
    assert torch.bincount(label[chosen[batch.batch[chosen] == 0]]).tolist() == [15, 5]


def test_uncertain_nodes_are_drawn_in_proportion():
    batch = pixel_batch(torch.zeros(400, 1, 1, 4))
    uncertainty = torch.tensor([0.0, 1.0, 2.0, 5.0]).repeat(400)
    chosen = sample_nodes(batch, 1, "uncertainty", uncertainty=uncertainty) % 4
    drawn = torch.bincount(chosen, minlength=4)
    assert drawn[0] == 0
    assert drawn[1:].tolist() == pytest.approx([50, 100, 250], abs=35)


def test_nodes_that_are_sure_come_last_however_sure_the_others_are():
    uncertainty = torch.zeros(2000)
    uncertainty[:50] = 1e-9
    batch = pixel_batch(torch.zeros(1, 1, 40, 50))
    chosen = sample_nodes(batch, 60, "uncertainty", uncertainty=uncertainty)
    assert chosen[:50].tolist() == list(range(50)) and len(chosen) == 60


def test_the_draw_is_seeded(batch):
    draws = [
        sample_nodes(batch, 9, generator=torch.Generator().manual_seed(seed)).tolist()
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_spreading_gives_back_what_all_nodes_of_a_kind_share():
    kind = torch.randint(3, (2, 8, 10))
    features = torch.eye(3)[kind].permute(0, 3, 1, 2)
    batch = pixel_batch(features, label=kind)
    chosen = sample_nodes(batch, 20)
    value = torch.tensor([[5.0], [-1.0], [2.0]])
    spread = knn_interpolate(value[batch.label[chosen]], chosen, batch.x, batch.batch, k=2)
    assert torch.allclose(spread, value[batch.label], atol=1e-3)


def test_chosen_nodes_keep_their_value_and_get_the_gradient(batch):
    chosen = sample_nodes(batch, 10)
    value = torch.randn(len(chosen), 2, requires_grad=True)
    spread = knn_interpolate(value, chosen, batch.x, batch.batch)
    assert torch.equal(spread[chosen], value)
    spread.sum().backward()
    assert (value.grad >= 1 - 1e-6).all()


def test_what_a_rule_needs_is_asked_for(batch):
    with pytest.raises(ValueError, match=r"label \(254,\) of whole numbers, one .*, got None"):
        sample_nodes(batch, 3, "class")
    with pytest.raises(ValueError, match="a whole number >= 1, got 0"):
        sample_nodes(batch, 0)
    with pytest.raises(ValueError, match="got 'best'"):
        sample_nodes(batch, 3, "best")
    with pytest.raises(ValueError, match=r"index \(3,\) of whole numbers.*got shape \(2,\)"):
        knn_interpolate(torch.zeros(3, 1), torch.tensor([0, 1]), batch.x)


@pytest.mark.parametrize("size", [(1, 50), (5, 2), (100, 7), (2, 200), (30, 40), (3, 4), (1, 1)])
@pytest.mark.parametrize("count", [1, 4, 20, 100, 1000])
def test_a_grid_comes_near_its_count_on_maps_of_any_shape(size, count):
    chosen = sample_nodes(pixel_batch(torch.zeros(2, 1, *size)), count, "grid")
    each = torch.bincount(chosen // (size[0] * size[1]), minlength=2).tolist()
    available = min(count, size[0] * size[1])
    assert each[0] == each[1] and available / 2 < each[0] <= available
    assert (chosen.diff() > 0).all()


def test_what_cannot_be_sampled_or_spread_is_refused(batch):
    with pytest.raises(ValueError, match="whole maps for rule='grid'"):
        sample_nodes(batch.subgraph(torch.arange(5)), 2, "grid")
    with pytest.raises(ValueError, match="uncertainty of 0 or more"):
        sample_nodes(batch, 2, "uncertainty", uncertainty=-torch.ones(len(batch.batch)))
    first = torch.arange(3)  # all of the first image
    with pytest.raises(ValueError, match="a sampled node in each image"):
        knn_interpolate(torch.rand(3, 2), first, batch.x, batch.batch)
    with pytest.raises(ValueError, match="ascending numbers of the 254 nodes"):
        knn_interpolate(torch.rand(3, 2), first.flip(0), batch.x, batch.batch)
    with pytest.raises(ValueError, match=r"floating-point values \(S, C\), got shape \(3, 1\)"):
        knn_interpolate(first[:, None], first, batch.x)
