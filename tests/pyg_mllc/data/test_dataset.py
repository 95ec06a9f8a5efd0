import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from pyg_mllc.data import CAMVID, SegmentationDataset
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE


@pytest.fixture
def pair(tmp_path):
    """An image whose red channel is its label, in blocks of 4 pixels, wider than high."""
    ids = np.kron(np.arange(12).reshape(2, 6), np.ones((4, 4), dtype=int)).astype(np.uint8)
    image = np.stack([ids, np.full_like(ids, 50), np.full_like(ids, 200)], axis=-1)
    Image.fromarray(image).save(tmp_path / "frame.png")
    Image.fromarray(ids).save(tmp_path / "mask.png")
    return tmp_path / "frame.png", tmp_path / "mask.png"


def test_labeled_sample_at_its_own_size(pair):
    image, mask = pair
    sample = SegmentationDataset([image], [mask], CAMVID, size=(8, 24))[0]
    assert list(sample) == ["image", "name", "label"] and sample["name"] == "frame"
    assert sample["image"].dtype == torch.uint8 and sample["image"].shape == (3, 8, 24)
    assert sample["label"].dtype == torch.int64 and sample["label"].shape == (8, 24)
    assert sample["image"][:, 0, 0].tolist() == [0, 50, 200]
    known = sample["label"] != IGNORE
    assert torch.equal(sample["image"][0][known].long(), sample["label"][known])
    assert torch.equal(~known, sample["image"][0] == 11)  # void


@pytest.mark.parametrize(
    "size, inside", [((16, 50), (16, 48)), ((20, 24), (8, 24)), ((5, 12), (4, 12))]
)
def test_letterboxed_label_stays_on_its_image(pair, size, inside):
    image, mask = pair
    labeled = SegmentationDataset([image], [mask], CAMVID, size)[0]
    valid = SegmentationDataset([image], None, CAMVID, size)[0]["valid"]
    expected = torch.zeros(size, dtype=torch.bool)
    expected[: inside[0], : inside[1]] = True
    assert valid.dtype == torch.bool and torch.equal(valid, expected)
    assert torch.all(labeled["label"][~valid] == IGNORE)
    assert torch.all(labeled["image"][:, ~valid] == 0)
    # The label of a block of the original is found at the scaled center of the block.
    scale = inside[0] / 8
    for block in range(11):
        row, column = divmod(block, 6)
        at = int((4 * row + 2) * scale), int((4 * column + 2) * scale)
        assert labeled["label"][at] == block


def test_unlabeled_images_need_no_masks(pair):
    sample = SegmentationDataset([pair[0]], None, CAMVID, size=(8, 24))[0]
    assert list(sample) == ["image", "name", "valid"]


def test_samples_of_different_files_collate(pair, tmp_path):
    Image.new("L", (5, 30)).save(tmp_path / "tall.jpg")
    dataset = SegmentationDataset([pair[0], tmp_path / "tall.jpg"], None, CAMVID, size=(10, 9))
    batch = default_collate(list(dataset))
    assert batch["image"].shape == (2, 3, 10, 9) and batch["valid"].shape == (2, 10, 9)
    assert batch["name"] == ["frame", "tall"]


def test_mask_of_another_size_names_both(pair, tmp_path):
    Image.new("L", (12, 4)).save(tmp_path / "small.png")
    dataset = SegmentationDataset([pair[0]], [tmp_path / "small.png"], CAMVID, size=(8, 24))
    with pytest.raises(InputError, match=r"small\.png is 4 x 12 .*frame\.png is 8 x 24"):
        dataset[0]


def test_as_many_masks_as_images(pair):
    with pytest.raises(InputError, match="2 images and 1 masks"):
        SegmentationDataset([pair[0]] * 2, [pair[1]], CAMVID, size=(8, 24))
