import math
from functools import partial

import pytest
import torch

from pyg_mllc.errors import InputError
from pyg_mllc.losses import SupervisedLoss
from pyg_mllc.methods import MLLC, FixMatch, Supervised, UniMatch
from pyg_mllc.methods.rare_paste import RarePaste
from pyg_mllc.nn import CorrectionMemory, FrozenFeatures, LabelCorrector, Segmenter
from pyg_mllc.transforms import WeakView
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.resize import resize_labels

RARE = 2  # of classes 0 to 3, of which no image shows the last


def image_of(label):
    """An image whose first channel shows its label, the second its position in the batch."""
    own = torch.arange(len(label), device=label.device)[:, None, None].expand_as(label)
    return torch.stack([label / 255, own / 10, torch.rand(label.shape, device=label.device)], 1)


def labels(size=3, device="cpu"):
    """Halves of the classes 0 and 1 with void between; a box of the rare one in all but one."""
    label = torch.zeros(size, 32, 48, dtype=torch.long, device=device)
    label[:, :, 24:] = 1
    label[:, :, 22:26] = IGNORE
    for i in range(size - 1):
        label[i, 4 + 8 * i : 10 + 8 * i, 16:30] = RARE
        label[i, 6 + 8 * i] = IGNORE
    return label


def rare_paste(probability=1.0, counts=(70, 60, 2, 0), device="cpu"):
    view = RarePaste(4, probability).to(device)
    view.class_counts.copy_(torch.tensor(counts))
    return view


def test_pasted_pixels_are_another_images_of_a_rare_class_and_the_rest_stays(device):
    label = labels(device=device)
    image = image_of(label)
    mixed, pasted, source = rare_paste(device=device)(image, label)
    own = torch.arange(3, device=device)[:, None, None]
    assert (source != own).flatten(1).any(1).all()  # with probability 1 each image receives
    for i in range(3):
        donors = set(source[i].unique().tolist()) - {i}
        assert len(donors) == 1
        [donor] = donors
        from_donor = source[i] == donor
        assert torch.equal(from_donor, label[donor] == RARE)  # all of it, and no void
        assert torch.equal(mixed[i], torch.where(from_donor, image[donor], image[i]))
        assert torch.equal(pasted[i], torch.where(from_donor, label[donor], label[i]))


@pytest.mark.parametrize(
    "label, counts, index",
    [
        (labels(2)[:1], (70, 60, 2, 0), None),  # one image
        (labels(3).clamp(max=1), (70, 60, 2, 0), None),  # no rare class
        (torch.full((2, 8, 8), IGNORE), (70, 60, 2, 0), None),
        (labels(3), (50, 50, 0, 0), None),  # no class is rarer than others
        (labels(3), (0, 0, 9, 0), None),
        (labels(2)[[0, 0]], (70, 60, 2, 0), torch.tensor([5, 5])),  # one image, drawn twice
    ],
)
def test_without_a_rare_class_in_another_image_nothing_changes(label, counts, index):
    image = image_of(label)
    mixed, pasted, source = rare_paste(counts=counts)(image, label, index)
    assert torch.equal(mixed, image) and torch.equal(pasted, label)
    assert torch.equal(source, torch.arange(len(label))[:, None, None].expand_as(label))


def test_classes_are_drawn_as_the_equation_says():
    counts = torch.tensor([600, 395, 3, 2, 0])
    view = RarePaste(5, 1.0)
    view.class_counts.copy_(counts)
    shares = (counts.double() / counts.sum()).tolist()
    weights = [math.exp((1 - f) / 0.01) if 0 < f < 1 / 4 else 0.0 for f in shares]
    assert view.chances.tolist() == pytest.approx([w / sum(weights) for w in weights], abs=1e-12)
    # Two images of which one holds both rare classes: it gives each as often as the chances say.
    label = torch.zeros(2, 4, 4, dtype=torch.long)
    label[0, 0], label[0, 1] = 2, 3
    drawn = torch.stack([view(image_of(label), label)[1][1] for _ in range(400)])
    share = (drawn == 2).flatten(1).any(1).float().mean()
    assert float(share) == pytest.approx(float(view.chances[2] / view.chances.sum()), abs=0.07)


def test_as_many_images_receive_a_paste_as_asked_for_and_a_seed_repeats_them():
    label, view = labels(3)[torch.arange(200) % 2], rare_paste(0.3)
    image, found = image_of(label), []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(view(image, label))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    received = (found[0][2] != torch.arange(200)[:, None, None]).flatten(1).any(1)
    assert float(received.float().mean()) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "often"])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(InputError, match=rf"method\.rare_paste.*{value}"):
        RarePaste(3, value)


def build(method, seed=0, **options):
    torch.manual_seed(seed)
    segmenter = Segmenter(4, "test_resnet", feature_dim=8, width=16)
    return method(segmenter, LabelCorrector(4, feature_dim=8, k=4), **options)


def batch(size=3):
    label = labels(size)
    return {
        "image": image_of(label),
        "label": label,
        "unlabeled": torch.rand(size, 3, 32, 48),
        "valid": torch.ones(size, 32, 48, dtype=torch.bool),
        "index": 10 + torch.arange(size),
    }


class Labeled(torch.utils.data.Dataset):
    """The labeled images of the batch as a data set."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return {"image": torch.zeros(3, 32, 48, dtype=torch.uint8), "label": labels()[index]}


class Same(torch.nn.Module):
    """A view that changes nothing."""

    def forward(self, *maps):
        return maps


@pytest.mark.parametrize("method", [Supervised, FixMatch, UniMatch, MLLC])
def test_switched_off_it_draws_nothing_and_keeps_nothing(method):
    off, plain, data = build(method, rare_paste=0.0), build(method), batch()
    assert list(off.state_dict()) == list(plain.state_dict())
    torch.manual_seed(1)
    image, label = WeakView()(data["image"], data["label"])
    state = torch.get_rng_state()
    torch.manual_seed(1)
    views = off.labeled_views(data)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(views.image, image) and torch.equal(views.label, label)
    assert views.own_label is views.label and views.number is data["index"]


@pytest.mark.parametrize(
    "options", [{}, {"supervised_loss": partial(SupervisedLoss, logit_adjustment=1.0)}]
)
def test_preparation_counts_the_classes_and_the_state_keeps_them(options):
    model = build(Supervised, rare_paste=1.0, **options)
    with pytest.raises(InputError, match=r"method\.rare_paste needs the labeled pixels of each"):
        model(batch())
    model.prepare(Labeled())
    counts = labels()[labels() != IGNORE].bincount(minlength=4)
    assert torch.equal(model.rare_paste.class_counts, counts)
    other = build(Supervised, rare_paste=0.5, **options)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.rare_paste.class_counts, counts)


FROZEN = partial(FrozenFeatures, name="test_resnet", weights=None)


@pytest.mark.parametrize(
    "method, options",
    [
        (Supervised, {"correct": True}),
        (FixMatch, {"correct": True, "warmup": 0.5}),
        (UniMatch, {"correct": True, "unlabeled": False}),
        (MLLC, {"warmup": 0.5}),
        (MLLC, {"warmup": 0.0, "contrast_from": 0.0, "unlabeled": False}),
    ],
)
def test_students_learn_pasted_pixels_and_anchors_and_counts_leave_them_out(method, options):
    data = batch()
    if not options.pop("unlabeled", True):
        data["valid"][:] = False  # so that counts are of labeled images alone
    kept = partial(CorrectionMemory, encoder=FROZEN, anchors=3000)
    model = build(method, weak=Same(), memory=kept, rare_paste=1.0, **options)
    model.prepare(Labeled())
    model.memory.class_thresholds.threshold = 0.0
    learned, loss = [], model.supervised_loss.forward
    model.supervised_loss.forward = lambda logits, label: (
        learned.append(label) or loss(logits, label)
    )
    torch.manual_seed(5)
    views = model.labeled_views(data)
    torch.manual_seed(5)
    model(data)
    assert all(torch.equal(label, views.label) for label in learned) and learned
    assert not torch.equal(views.label, data["label"])
    is_own = views.number == data["index"][:, None, None]
    assert torch.equal(views.own_label, torch.where(is_own, data["label"], IGNORE))
    expected = resize_labels(views.own_label, (4, 6))
    anchors = model.memory.anchors
    for i, number in enumerate(data["index"]):
        found = anchors.label[anchors.image == number].sort().values
        assert torch.equal(found, expected[i][expected[i] != IGNORE].sort().values)
    assert model.memory.class_counts.sum() == (expected != IGNORE).sum()


def test_pasted_pixels_never_meet_anchors_of_the_image_that_they_come_from():
    kept = partial(CorrectionMemory, encoder=FROZEN, anchors=3000)
    options = {"warmup": 0.0, "contrast_from": 0.0, "weak": Same(), "strong": Same()}
    model, data, seen = build(MLLC, memory=kept, rare_paste=1.0, **options), batch(), []
    model.prepare(Labeled())
    model(data)  # fills the memory
    model.student.corrector.register_forward_hook(
        lambda module, args, kwargs, output: seen.append(kwargs["image"]), with_kwargs=True
    )
    torch.manual_seed(5)
    views = model.labeled_views(data)
    torch.manual_seed(5)
    model(data)
    numbers = seen[-1].view(6, 4, 6)
    assert torch.equal(numbers[:3], resize_labels(views.number, (4, 6)))
    assert (numbers[:3] != data["index"][:, None, None]).any() and (numbers[3:] == -1).all()
