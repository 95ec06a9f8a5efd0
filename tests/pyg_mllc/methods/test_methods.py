import pytest
import torch

from pyg_mllc.data import IGNORE
from pyg_mllc.errors import InputError
from pyg_mllc.methods import MLLC, Supervised
from pyg_mllc.nn import LabelCorrector, Segmenter


def build(method, num_classes=3, **options):
    segmenter = Segmenter(num_classes, "test_resnet", feature_dim=8, width=16)
    return method(segmenter, LabelCorrector(num_classes, feature_dim=8, k=4), **options)


def batch(device="cpu", size=2):
    return {
        "image": torch.rand(size, 3, 48, 64, device=device),
        "label": torch.randint(3, (size, 48, 64), device=device),
        "unlabeled": torch.rand(size, 3, 48, 64, device=device),
        "valid": torch.ones(size, 48, 64, dtype=torch.bool, device=device),
    }


@pytest.mark.parametrize("method", [Supervised, MLLC])
def test_a_plain_loop_learns_one_batch(method, device):
    options = {"total_steps": 30, "warmup": 0.2, "contrast_from": 0.1} if method is MLLC else {}
    model = build(method, **options).to(device)
    data = batch(device)
    data["label"] = (data["image"][:, 0] > 0.5).long()
    data["image"] = (data["label"][:, None] * 0.8 + 0.1).repeat(1, 3, 1, 1)
    data["image"][:, :, ::8] = 0.5
    optimizer = torch.optim.Adam(model.student.parameters(), lr=3e-3)
    supervised = []
    for _ in range(30):
        figures = model(data)
        optimizer.zero_grad()
        figures["loss"].backward()
        optimizer.step()
        model.update()
        supervised.append(float(figures["supervised"]))
    assert sum(supervised[-5:]) < 0.8 * sum(supervised[:5])
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_mllc_warms_up_without_the_unlabeled_images():
    model = build(MLLC, total_steps=10, warmup=0.5)
    assert "unsupervised" not in model(batch())
    for _ in range(5):
        model.update()
    figures = model(batch())
    assert figures["unsupervised"] > 0 and 0 <= figures["trusted"] <= 1


def test_mllc_learns_from_the_teacher_and_gives_it_no_gradient():
    model = build(MLLC, warmup=0.0, contrast_from=0.0)
    figures = model(batch())
    figures["loss"].backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(p.grad is not None for p in model.student.parameters())
    assert model.prototypes.seen.any()


def test_corrections_before_embeddings_are_trained_are_refused():
    with pytest.raises(InputError, match=r"contrast_from <= method\.warmup"):
        build(MLLC, warmup=0.1, contrast_from=0.2)


def test_padding_of_unlabeled_images_gets_no_label():
    model = build(MLLC, warmup=0.0, contrast_from=0.0)
    images, valid = torch.rand(2, 3, 48, 64), torch.zeros(2, 48, 64).bool()
    _, pseudo, _, _ = model._pseudo_label(images, valid)
    assert (pseudo == IGNORE).all()


@pytest.mark.parametrize("void", ["label", "valid"])
def test_a_batch_of_only_void_trains(void):
    data = batch()
    data["label" if void == "label" else "valid"] = (
        torch.full((2, 48, 64), IGNORE) if void == "label" else torch.zeros(2, 48, 64).bool()
    )
    model = build(MLLC, warmup=0.0, contrast_from=0.0)
    loss = model(data)["loss"]
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.student.parameters())


def test_class_counts_come_from_labeled_and_unlabeled_images():
    model = build(MLLC, warmup=0.0, contrast_from=0.0)
    model.thresholds.threshold = 0.0
    model(batch())
    assert model.thresholds.counts.sum() == 2 * 2 * 6 * 8  # both halves of the batch at stride 8
