import pytest
import torch

from pyg_mllc.transforms import StrongView, WeakView, classmix, cutmix, paste
from pyg_mllc.typing import IGNORE


def image_of(label):
    """An image that shows its label: gray 0.1, 0.2, ... per class."""
    return ((label + 1) / 10).float()[:, None].repeat(1, 3, 1, 1)


def blocks(size=4, height=40, width=56):
    block = torch.arange(height)[:, None] // (height // 4) * 2 % 4 + torch.arange(width)[None] // (
        width // 2
    )
    return block.repeat(size, 1, 1)


def test_weak_view_moves_image_and_label_together(device):
    label = blocks(height=80, width=112).to(device)
    image, moved = WeakView()(image_of(label), label)
    inside = moved != IGNORE
    assert moved.shape == label.shape and not torch.equal(moved, label)
    # Only pixels on borders between blocks may differ: the image is interpolated, the label not.
    shown = (image[:, 0] * 10 - 1)[inside]
    assert ((shown - moved[inside]).abs() < 0.1).float().mean() > 0.9


@pytest.mark.parametrize("crop", [None, (40, 56)])
def test_further_maps_follow_the_image_into_its_view(crop, device):
    label = blocks(height=80, width=112).to(device)
    image = image_of(label)
    maps = torch.cat([image - 0.5, 2 * image], 1)
    shown, moved, evidence = WeakView(crop=crop)(image, label, maps)
    assert evidence.shape == (4, 6, *shown.shape[-2:]) and (moved == IGNORE).any()
    # Outside all is 0, as if the image were black; at its borders values are mixed with 0.
    assert torch.allclose(evidence[:, 3:], 2 * shown, atol=1e-4)
    assert not evidence[:, :3].mul(shown == 0).any()


@pytest.mark.parametrize("crop", [(24, 40), (100, 64)])
def test_a_crop_cuts_image_and_label_alike_and_pads_with_void(crop, device):
    label = blocks(height=80, width=112).to(device)
    image, moved = WeakView(scale=(1.0, 1.0), shift=0.0, crop=crop)(image_of(label), label)
    assert moved.shape == (4, *crop) and image.shape == (4, 3, *crop)
    inside = moved != IGNORE
    assert inside.float().mean() == pytest.approx(min(crop[0], 80) * crop[1] / (crop[0] * crop[1]))
    assert (image[:, 0][inside] * 10 - 1 - moved[inside]).abs().max() < 1e-4
    assert not torch.equal(moved[0], moved[1]) or crop[0] > 80  # each has a place of its own


def test_what_a_weak_view_shows_from_outside_is_void_not_class_0():
    label = torch.ones(8, 32, 32, dtype=torch.long)
    image, moved = WeakView(scale=(0.5, 0.6), shift=0.0)(image_of(label), label)
    assert set(moved.unique().tolist()) == {1, IGNORE}
    assert (image[:, 0][moved == IGNORE] < 0.2 - 1e-6).float().mean() > 0.8
    assert (moved == IGNORE).float().mean() > 0.5


def test_void_stays_void():
    label = torch.full((2, 16, 16), IGNORE)
    assert (WeakView()(torch.rand(2, 3, 16, 16), label)[1] == IGNORE).all()


def test_views_are_seeded():
    image, label = torch.rand(2, 3, 32, 32), torch.zeros(2, 32, 32).long()
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(StrongView()(*WeakView()(image, label), torch.rand(2, 32, 32)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("mix", ["cutmix", "classmix"])
def test_mixing_keeps_image_label_and_weight_together(mix, device):
    label = blocks().to(device)
    label[1] = (label[1] + 1) % 4
    view = StrongView(mix)
    view.color = torch.nn.Identity()
    image, mixed, weight = view(image_of(label), label, label.float())
    assert torch.equal(image, image_of(mixed)) and torch.equal(weight, mixed.float())
    assert not torch.equal(mixed, label)


def test_cutmix_draws_a_box_of_the_asked_share(device):
    mask = cutmix(torch.zeros(50, 40, 60, device=device), share=(0.2, 0.4))
    for m in mask:
        rows, columns = m.any(1).nonzero(), m.any(0).nonzero()
        box = m[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.all() and 0.1 < m.float().mean() <= 0.4


def test_classmix_takes_whole_classes_of_the_image_that_is_pasted_never_void():
    label = blocks()
    label[:, :3] = IGNORE
    mask = classmix(label)
    for m, other in zip(mask, label.roll(1, dims=0), strict=True):
        taken = set(other[m].unique().tolist())
        assert len(taken) == 2 and IGNORE not in taken
        assert torch.equal(m, torch.isin(other, torch.tensor(sorted(taken))))


def test_paste_shows_the_image_before_where_the_mask_is_true():
    a = torch.arange(3.0)[:, None, None].expand(3, 2, 2)
    mask = torch.tensor([[True, False], [False, False]]).expand(3, 2, 2)
    [out] = paste(mask, a)
    assert out[:, 0, 0].tolist() == [2, 0, 1] and out[:, 1, 1].tolist() == [0, 1, 2]
    [out] = paste(mask, a, source=torch.tensor([1, 1, 0]))
    assert out[:, 0, 0].tolist() == [1, 1, 0] and out[:, 1, 1].tolist() == [0, 1, 2]


def test_an_unknown_mix_is_refused():
    with pytest.raises(ValueError, match="cutmix, classmix or none, got mixup"):
        StrongView("mixup")


def test_half_precision_outside_does_not_move_image_and_label_apart(device):
    label = blocks().to(device)
    views = []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
            views.append(WeakView()(image_of(label), label))
    assert torch.equal(views[0][0], views[1][0]) and torch.equal(views[0][1], views[1][1])


def test_labels_may_be_bytes_as_masks_are():
    label = blocks().to(torch.uint8)
    label[0] = IGNORE
    torch.manual_seed(0)
    _, expected = WeakView()(image_of(label.long()), label.long())
    torch.manual_seed(0)
    assert torch.equal(WeakView()(image_of(label), label)[1], expected)
