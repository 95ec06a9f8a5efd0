import torch

from pyg_mllc.data import ReadableSet, infinite_loader, make_batch, textures, to_float


def test_a_batch_holds_both_kinds_of_samples_as_floats():
    data = textures(2, 2, 1, (8, 12))
    labeled, unlabeled = (
        next(iter(infinite_loader(ReadableSet(part), 2, seed=0)))
        for part in (data.labeled, data.unlabeled)
    )
    batch = make_batch(labeled, unlabeled, torch.channels_last)
    assert set(batch) == {"image", "label", "index", "unlabeled", "unlabeled_index", "valid"}
    for image, samples in ((batch["image"], labeled), (batch["unlabeled"], unlabeled)):
        assert torch.equal(image, samples["image"].float() / 255)
        assert image.is_contiguous(memory_format=torch.channels_last)
    for key, samples in (("label", labeled), ("index", labeled), ("valid", unlabeled)):
        assert batch[key] is samples[key]


def test_a_batch_without_unlabeled_images():
    [sample] = textures(1, 0, 1, (8, 12)).labeled
    batch = make_batch({"image": sample["image"][None], "label": sample["label"][None]})
    assert set(batch) == {"image", "label"}


def test_every_byte_becomes_its_share_in_float32():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_float(values), values.float() / 255)
