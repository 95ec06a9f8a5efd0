import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from pyg_mllc.errors import InputError
from pyg_mllc.inference.label_issues import common_label_issues, find_label_issues, issue_rows
from pyg_mllc.inference.mask_corrector import MaskCorrector

LOOKS = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.8, 0.3], [0.2, 0.1, 0.9]])


def encoder(image, size):
    return F.interpolate(image, size, mode="area")


def scene(seed, wrong=False):
    """An image of three classes, its truth, and a mask with a void row."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.zeros(30, 40, dtype=torch.long)
    truth[:, 15 + seed :], truth[20:] = 1, 2
    image = LOOKS[truth].permute(2, 0, 1) + 0.1 * torch.rand(3, 30, 40, generator=generator)
    mask = truth.clone()
    mask[0] = 255
    if wrong:
        mask[22:28, 5:35] = 1
    return image.clamp(max=1), truth, mask


def test_fit_remembers_and_transform_corrects():
    images, truths, masks = zip(*(scene(s, wrong=s == 2) for s in range(4)), strict=True)
    corrector = MaskCorrector(3, encoder, anchor_share=0.5, k=8)
    found = corrector.fit_transform(images, masks)
    assert len(corrector.memory) > 100
    for correction, truth, mask in zip(found, truths, masks, strict=True):
        assert torch.equal(correction.given, mask)
        known = mask != 255
        assert torch.equal(correction.label == 255, ~known)
        assert not correction.changed[~known].any() and not correction.doubt[~known].any()
        assert (correction.label == truth)[known].float().mean() > 0.97
        assert torch.equal(correction.changed, correction.label != mask)
        assert (correction.suggested != correction.given).all()
        known_doubt = correction.doubt[known]
        assert 0 <= known_doubt.min() and known_doubt.max() <= 1
        # the label stays where it is the likeliest: its probability is then 1 - doubt
        stays = known & ~correction.changed
        one = correction.confidence + correction.doubt
        assert torch.allclose(one[stays], torch.ones(()), atol=1e-5)
    trusted = MaskCorrector(3, encoder, anchor_share=0.5, k=8).fit(images[:2], truths[:2])
    (alone,) = trusted.transform(images[2:3], masks[2:3])
    assert (alone.label == truths[2])[1:].float().mean() > 0.97


def test_all_pixels_of_other_masks_may_be_densities_of_classes():
    images, truths, masks = zip(*(scene(s, wrong=s == 2) for s in range(4)), strict=True)
    corrector = MaskCorrector(3, encoder, anchor_rule="gaussians", k=8)
    found = corrector.fit_transform(images, masks)
    assert corrector.memory is None and corrector.gaussians.images == (0, 1, 2, 3)
    for correction, truth, mask in zip(found, truths, masks, strict=True):
        known = mask != 255
        assert torch.equal(correction.label == 255, ~known)
        assert (correction.label == truth)[known].float().mean() > 0.97
    # An image sees what the others say of it, whatever its own mask says.
    lies = [masks[0], masks[1], (masks[2] + 1) % 3, masks[3]]
    options = {"anchor_rule": "gaussians", "label_confidence": 0.8, "anchor_share": 0.5, "k": 8}
    again = MaskCorrector(3, encoder, rounds=1, **options)
    again.fit(images, lies)
    honest = MaskCorrector(3, encoder, rounds=1, **options)
    honest.fit([*images[:2], images[3]], [*masks[:2], masks[3]])
    assert again.gaussians.shrinkage == honest.gaussians.shrinkage
    first, second = again.correct(images[2], masks[2], 2), honest.correct(images[2], masks[2])
    assert torch.allclose(first.doubt, second.doubt, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("kind", ["pixels", "regions"])
def test_wrong_pixels_and_wrong_regions_are_corrected_at_any_share(kind, share):
    """Single pixels by their neighbors, whole regions by the other masks; nobody says which."""
    images, truths, _ = zip(*(scene(s) for s in range(4)), strict=True)
    masks = []
    for seed, truth in enumerate(truths):
        generator = torch.Generator().manual_seed(seed)
        size = (30, 40) if kind == "pixels" else (5, 5)
        wrong = F.interpolate(torch.rand(1, 1, *size, generator=generator), truth.shape)[0, 0]
        other = (truth + torch.randint(1, 3, truth.shape, generator=generator)) % 3
        masks.append(torch.where(wrong < share, other, truth))
    corrector = MaskCorrector(3, encoder, anchor_rule="gaussians", k=8)
    for correction, truth, mask in zip(
        corrector.fit_transform(images, masks), truths, masks, strict=True
    ):
        right = (correction.label == truth).float().mean()
        assert right > 0.99 and right >= (mask == truth).float().mean()


def test_images_of_a_fold_are_hidden_from_each_other(monkeypatch):
    monkeypatch.setattr("pyg_mllc.inference.mask_corrector.FOLDS", 2)
    images, truths, masks = zip(*(scene(s, wrong=s == 2) for s in range(4)), strict=True)
    corrector = MaskCorrector(3, encoder, anchor_rule="gaussians", k=8)
    found = corrector.fit_transform(images, masks)
    assert corrector.gaussians.images == (0, 1)
    assert all((c.label == t)[1:].float().mean() > 0.97 for c, t in zip(found, truths, strict=True))


@pytest.mark.parametrize("label_confidence", [None, 0.6, 0.95])
def test_a_label_confidence_that_is_told_does_not_say_whether_rounds_help(label_confidence):
    images, truths, _ = zip(*(scene(s) for s in range(4)), strict=True)
    corrector = MaskCorrector(
        3, encoder, anchor_rule="gaussians", k=8, label_confidence=label_confidence
    )
    corrector.fit(images[:3], truths[:3])
    wrong = torch.rand(truths[3].shape, generator=torch.Generator().manual_seed(0)) < 0.3
    mask = torch.where(wrong, (truths[3] + 1) % 3, truths[3])
    assert (corrector.correct(images[3], mask).label == truths[3]).float().mean() > 0.99


def test_a_single_mask_has_no_others_to_learn_from():
    image, _, mask = scene(0)
    corrector = MaskCorrector(3, encoder, anchor_rule="gaussians", k=8)
    (found,) = corrector.fit_transform([image], [mask])
    (plain,) = MaskCorrector(3, encoder, anchors=3, k=8).transform([image], [mask])
    assert torch.equal(found.label, plain.label)


def test_an_images_own_wrong_labels_are_no_anchors_of_itself():
    image, truth, mask = scene(0, wrong=True)
    other, other_truth, _ = scene(1)
    corrector = MaskCorrector(3, encoder, anchor_share=0.9, k=8)
    corrector.fit([image, other], [mask, other_truth])
    hidden = corrector.correct(image, mask, number=0)
    seen = corrector.correct(image, mask)
    wrong = (mask != truth) & (mask != 255)
    assert hidden.doubt[wrong].mean() > seen.doubt[wrong].mean() + 0.1


def test_issues_rank_the_wrong_region_with_its_pair():
    images, _, masks = zip(*(scene(s, wrong=s == 2) for s in range(4)), strict=True)
    corrections = MaskCorrector(3, encoder, anchor_share=0.5, k=8).fit_transform(images, masks)
    found = [(f"image {n}", find_label_issues(c)) for n, c in enumerate(corrections)]
    worst = found[2][1]
    assert max(issues.score for _, issues in found) == worst.score
    first = worst.regions[0]
    assert (first.given, first.suggested) == (1, 2) and first.pixels == pytest.approx(180, abs=30)
    assert (first.top, first.left, first.bottom, first.right) == (22, 5, 28, 35)
    assert worst.pixels == sum(count for *_, count in worst.pairs)
    rows = list(issue_rows(found, ["x", "y", "z"]))
    assert rows[0][:3] == (1, "image", "image 2") and rows[0][4:6] == ("y", "z")
    assert rows[4][:3] == (1, "region", "image 2") and rows[4][4:6] == ("y", "z")
    scores = [float(row[3]) for row in rows if row[1] == "region"]
    assert scores == sorted(scores, reverse=True)
    assert common_label_issues(found)[0][:2] == (1, 2)


def test_a_mask_without_issues_and_one_of_void_alone():
    image, _, mask = scene(0)
    corrector = MaskCorrector(3, encoder, k=8)
    nothing = find_label_issues(corrector.correct(image, torch.full_like(mask, 255)))
    assert nothing.score == 0 and nothing.pixels == 0 and not nothing.regions
    rows = list(issue_rows([("a", nothing)], ["x", "y", "z"]))
    assert rows == [(1, "image", "a", "0.0000", "", "", 0, "", "", "", "")]


def test_probabilities_and_labels_that_say_the_same_agree():
    image, _, mask = scene(0, wrong=True)
    mask = mask.clamp(max=2)
    maps = 0.1 + 0.7 * F.one_hot(mask, 3).permute(2, 0, 1).float()
    corrector = MaskCorrector(3, encoder, label_confidence=0.8, k=8, rounds=1)
    one, other = corrector.correct(image, mask), corrector.correct(image, maps.numpy())
    assert (one.label == other.label).float().mean() > 0.99
    assert torch.allclose(one.doubt, other.doubt, atol=1e-3)


def test_masks_come_as_arrays_of_any_layout_or_as_pictures():
    image, _, mask = scene(0, wrong=True)
    corrector = MaskCorrector(3, encoder, k=8, rounds=1)
    expected = corrector.correct(image, mask).label
    array = mask.numpy().astype(np.uint8)
    mirrored = np.ascontiguousarray(array[:, ::-1])[:, ::-1]
    array.flags.writeable = False
    for given in (array, mirrored, Image.fromarray(array)):
        assert corrector.correct(image, given).label.equal(expected)


def test_an_edge_aware_change_mends_masks_along_the_edges_of_the_image():
    image, truth, mask = scene(0)
    mask[8:20, 15:] = 2  # up to the outlines of class 1, which pixels of the small map straddle
    wrong = []
    for edge_aware in (False, True):
        corrector = MaskCorrector(3, encoder, k=8, pixels=100, edge_aware=edge_aware)
        other, other_truth, _ = scene(1)
        label = corrector.fit([other], [other_truth]).correct(image, mask).label
        wrong.append(int((label != truth)[1:].sum()))
    assert wrong[1] < wrong[0] < int((mask != truth)[1:].sum())


def test_errors_finer_than_the_map_stay_and_finer_maps_mend_them():
    image, truth, mask = scene(0)
    mask[5, 5] = 2
    fine = MaskCorrector(3, encoder, k=8, rounds=1).correct(image, mask)
    coarse = MaskCorrector(3, encoder, k=8, rounds=1, pixels=100).correct(image, mask)
    assert fine.label[5, 5] == truth[5, 5] and coarse.label[5, 5] == 2
    assert coarse.label.shape == (30, 40)


@pytest.mark.parametrize(
    "mask, message",
    [
        (torch.zeros(30, 41), r"of an image of \(30, 40\), got \(30, 41\)"),
        (torch.full((30, 40), 3), "expected labels from 0 to 2, or 255 for void, got 3"),
        (torch.full((30, 40), -1), "got -1"),
        (np.full((30, 40), 0.75), "got 0.75; probabilities have a map for each class"),
        (torch.full((30, 40), torch.nan), "got nan"),
        (torch.full((2, 30, 40), 0.5), "probabilities of 3 classes"),
        (torch.full((3, 30, 40), 0.5), "which sum to 1"),
        (torch.full((3, 30, 40), torch.nan), "which sum to 1"),
        (np.zeros((1, 3, 30, 40)), "expected labels"),
    ],
)
def test_what_does_not_fit_is_refused(mask, message):
    with pytest.raises(InputError, match=message):
        MaskCorrector(3, encoder).correct(scene(0)[0], mask)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32])
def test_labels_of_any_kind_of_number_are_the_same(kind):
    image, _, mask = scene(0)
    corrector = MaskCorrector(3, encoder, rounds=1, k=8)
    expected = corrector.correct(image, mask)
    found = corrector.correct(image, mask.numpy().astype(kind))
    assert torch.equal(found.given, mask) and torch.equal(found.label, expected.label)


def test_options_out_of_range_are_refused():
    for label_confidence in (0.0, 0.3, 1.0):
        with pytest.raises(InputError, match="between chance, 1 / classes, and 1, got 3 classes"):
            MaskCorrector(3, encoder, label_confidence=label_confidence)
    with pytest.raises(InputError, match="expected pixels to be 1 or more, got 0"):
        MaskCorrector(3, encoder, pixels=0)
    with pytest.raises(InputError, match=r"cannot be made so: .*kk"):
        MaskCorrector(3, encoder, kk=3)
    with pytest.raises(InputError, match="anchors: expected a budget"):
        MaskCorrector(3, encoder, anchors=2).fit([scene(0)[0]], [scene(0)[1]])


def test_masks_of_one_class_are_warned_of(caplog):
    image, truth, _ = scene(0)
    corrector = MaskCorrector(2, encoder, k=8)
    corrector.fit([image], [torch.where(truth == 1, 255, 0)])
    assert "the class 0 alone and 255, which means void" in caplog.text
    caplog.clear()
    corrector.fit([image], [(truth == 1).long()])
    assert not caplog.text
