import logging

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from pyg_mllc.data import SegmentationDataset, folder
from pyg_mllc.data.exif import apply_orientation, resolve_exif
from pyg_mllc.data.sanity_check import find_sample_problems, inspect_samples
from pyg_mllc.errors import InputError

COLORS = np.array([(250, 20, 20), (20, 250, 20), (20, 20, 250)], dtype=np.uint8)


def scene(number, height=16, width=24):
    """Classes (H, W) that no turn leaves as they are."""
    classes = np.zeros((height, width), dtype=np.uint8)
    classes[: height // 2, : width // 3 + number] = 1 + number % 2
    return classes


def save(path, pixels, orientation=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def make(root, orientations, drawn, size=(16, 24), own=lambda orientation: 1):
    """Photos that EXIF turns, and masks drawn on their ``turn`` or ``stored`` pixels."""
    for number, (orientation, how) in enumerate(zip(orientations, drawn, strict=True)):
        classes = scene(number, *size)
        save(root / f"images/{number}.png", COLORS[classes], orientation)
        mask = apply_orientation(classes, orientation) if how == "turn" else classes
        save(root / f"masks/{number}.png", mask, own(orientation))
    (root / "classes.txt").write_text("ground\nblock\nsky\n")
    return root


def fits(splits):
    """Whether each label lies over the pixels of its class."""
    return all(
        np.array_equal(COLORS[sample["label"]], sample["image"].permute(1, 2, 0))
        for sample in (*splits.labeled, *splits.val)
    )


@pytest.mark.parametrize("drawn", ["turn", "stored"])
@pytest.mark.parametrize("orientations", [(6, 6, 6), (1, 6, 3), (2, 5, 7), (8, 4, 1)])
def test_labels_lie_over_their_photos_whatever_masks_were_drawn_on(
    tmp_path, caplog, drawn, orientations
):
    root = make(tmp_path, orientations, [drawn] * 3)
    caplog.set_level(logging.INFO)
    for exif in ("auto", drawn):
        splits = folder(root, size=(24, 24), exif=exif)
        boxed = [*splits.labeled, *splits.val]
        for sample in boxed:
            label, image = sample["label"], sample["image"]
            inside = label != 255
            assert np.array_equal(COLORS[label[inside]], image[:, inside].T)
        assert not find_sample_problems(list(inspect_samples(splits)), (24, 24))[0]
    told = "fit their stored pixels" if drawn == "stored" else "their masks fit them as shown"
    assert told in caplog.text


@pytest.mark.parametrize("own", [lambda orientation: orientation, lambda orientation: 1])
def test_masks_that_carry_the_orientation_of_their_photo(tmp_path, own):
    splits = folder(make(tmp_path, (6, 8, 3), ["stored"] * 3, (16, 16), own), size=(16, 16))
    assert fits(splits) == (own(6) == 6)  # squares that say nothing are taken to fit as shown


def test_sizes_of_some_tell_of_those_that_cannot(tmp_path):
    make(tmp_path, (3, 2, 6, 6), ["stored"] * 4)
    assert resolve_exif(pairs(tmp_path), "auto") == "stored"
    for how in ("turn", "stored"):
        make(tmp_path, (3, 2, 4, 3), [how] * 4)
        assert fits(folder(tmp_path, size=(16, 24), exif=how))


def pairs(root):
    images = sorted((root / "images").iterdir())
    return [(image, root / "masks" / image.name) for image in images]


def test_what_no_size_tells_is_said(tmp_path, caplog):
    make(tmp_path, (3, 1), ["stored"] * 2)
    assert resolve_exif(pairs(tmp_path), "auto") == "turn"
    assert "photos that EXIF turns: 1; no size tells" in caplog.text
    assert "data.exif=stored" in caplog.text


def test_photos_without_a_turn_need_no_word(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    make(tmp_path, (1, 1), ["stored"] * 2)
    assert resolve_exif(pairs(tmp_path), "auto") == "turn"
    assert resolve_exif([], "auto") == "turn"
    assert not caplog.text


def test_contradictory_folders_are_refused(tmp_path):
    make(tmp_path, (6, 6, 1), ["turn", "stored", "turn"])
    told = r"0\.png has the size of its photo as EXIF turns it, and .*1\.png that of its stored"
    with pytest.raises(InputError, match=told):
        folder(tmp_path)
    splits = folder(tmp_path, exif="stored")
    found = find_sample_problems(list(inspect_samples(splits)), (16, 24))[0][
        "masks of another size than their image"
    ]
    assert (
        len(found) == 1 and "0.png" in found[0] and "or exif= another value than stored" in found[0]
    )


def test_words_that_are_no_choice_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.exif=left is none of auto, turn, stored"):
        folder(make(tmp_path, (6, 6), ["turn"] * 2), exif="left")


def test_kept_samples_are_those_of_the_same_choice(tmp_path):
    make(tmp_path, (3, 3), ["stored"] * 2)
    images, masks = zip(*pairs(tmp_path), strict=True)
    spec = folder(tmp_path, exif="turn").spec
    stored, turn = (
        SegmentationDataset(images, masks, spec, (16, 24), tmp_path / "cache", exif=exif)[0]
        for exif in ("stored", "turn")
    )
    assert torch.equal(stored["image"], turn["image"])
    assert torch.equal(stored["label"].flip(0, 1), turn["label"])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_arrays_turn_as_pillow_turns_pictures(tmp_path, orientation):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    save(tmp_path / "a.png", pixels, orientation)
    with Image.open(tmp_path / "a.png") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(apply_orientation(pixels, orientation), expected)
    assert np.array_equal(apply_orientation(np.stack([pixels] * 2), orientation)[1], expected)
