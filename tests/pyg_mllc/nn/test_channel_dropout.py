import torch

from pyg_mllc.nn import channel_dropout, complementary_dropout


def test_channels_are_lost_as_a_whole_and_the_others_scaled():
    lost = channel_dropout([torch.ones(2, 400, 3, 4), torch.ones(2, 400, 1, 1)], 0.2)
    for x in lost:
        assert torch.equal(x, x[..., :1, :1].expand_as(x))
        assert set(x.unique().tolist()) == {0, 1.25}
        assert abs(float((x == 0).float().mean()) - 0.2) < 0.06
    assert not torch.equal(*(x[..., 0, 0] for x in lost))


def test_both_views_of_an_image_share_its_channels():
    """What one view loses the other one has twice."""
    maps = [torch.ones(16, width, 2, 3) for width in (6, 40, 40)]
    dropped = complementary_dropout(maps)
    for x in dropped:
        first, second = x.chunk(2)
        assert torch.equal(first + second, torch.full_like(first, 2))
        assert set(x.unique().tolist()) == {0, 1, 2}


def test_all_stages_lose_the_same_channels():
    narrow, wide, same = complementary_dropout([torch.ones(8, c, 1, 1) for c in (5, 30, 30)])
    assert torch.equal(wide, same) and torch.equal(narrow, wide[:, :5])


def test_half_of_the_pairs_and_not_always_the_same_keep_all_channels():
    seen = torch.zeros(5)
    for _ in range(40):
        [x] = complementary_dropout([torch.ones(10, 30, 1, 1)])
        first, second = ((half == 1).flatten(1).all(1) for half in x.chunk(2))
        assert torch.equal(first, second) and first.sum() == 2
        seen += first
    assert (seen > 5).all()
    assert {0, 2} == set(complementary_dropout([torch.ones(2, 60, 1, 1)])[0].unique().tolist())


def test_each_channel_of_a_pair_is_lost_in_one_view_or_the_other_with_equal_chance():
    [x] = complementary_dropout([torch.ones(4, 4000, 1, 1)])
    for view in x[(x != 1).flatten(1).any(1)]:
        assert abs(float(view.mean()) - 1) < 0.1
