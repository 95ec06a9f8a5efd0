import numpy as np
import pytest
import torch
from PIL import Image

from pyg_mllc.data import folder
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE


def save(path, value, size=(8, 6), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def root(tmp_path):
    for number in range(10):
        save(tmp_path / "images" / f"{number}.jpg", 90)
        save(tmp_path / "masks" / f"{number}.png", number % 3)
    for number in range(4):
        save(tmp_path / "unlabeled" / f"{number}.jpg", 90)  # the names may be the same
    return tmp_path


def names(dataset):
    return [path.name for path in dataset.images]


def test_three_folders_are_enough(root):
    splits = folder(root, size=(6, 8))
    assert [len(part) for part in (splits.labeled, splits.unlabeled, splits.val)] == [8, 4, 2]
    assert not set(names(splits.labeled)) & set(names(splits.val))
    assert splits.spec.classes == ("class 0", "class 1", "class 2")
    assert all(path.parent.name == "unlabeled" for path in splits.unlabeled.images)
    for sample in (*splits.labeled, *splits.val):
        assert torch.all(sample["label"] == int(sample["name"]) % 3)
    assert list(splits.unlabeled[0]) == ["image", "name", "valid"]


def test_the_seed_draws_the_validation_images(root):
    drawn = [names(folder(root, seed=seed, val_share=0.5).val) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 5


def test_folders_by_option_from_anywhere(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (root / "images").rename(root / "my images")
    save(root / "v" / "i" / "7.png", 5)
    save(root / "v" / "m" / "7.png", 1)
    splits = folder(
        images="my images", masks=root / "masks", val_images="v/i", val_masks="v/m",
        classes=["a", "b", "c"], labeled=6,
    )  # fmt: skip
    assert [len(part) for part in (splits.labeled, splits.unlabeled, splits.val)] == [6, 8, 1]
    assert splits.spec.classes == ("a", "b", "c")


def test_names_choose_among_the_classes_of_a_table(root):
    (root / "classes.txt").write_text("sky\nroad\ncar\n")
    splits = folder(root, classes=["car", "sky"], size=(6, 8))
    assert splits.spec.classes == ("car", "sky")
    for sample in splits.labeled:
        assert torch.all(sample["label"] == [1, IGNORE, 0][int(sample["name"]) % 3])
    with pytest.raises(InputError, match=r"bus.*should be some of sky, road, car"):
        folder(root, classes=["car", "bus"])


def test_images_without_a_mask_are_unlabeled(root, caplog):
    (root / "masks" / "3.png").rename(root / "masks" / "03.png")
    splits = folder(root, val_share=0.1)
    assert [len(part) for part in (splits.labeled, splits.unlabeled, splits.val)] == [8, 5, 1]
    assert "3.jpg" in names(splits.unlabeled)
    assert "masks without an image of their name: 1, such as" in caplog.text
    assert "images without a mask, which count as unlabeled: 1, such as" in caplog.text


def test_one_folder_for_all_with_suffixes(tmp_path):
    for number in range(3):
        save(tmp_path / "all" / "site" / f"{number}.tif", 9)
        save(tmp_path / "all" / "site" / f"{number}_mask.png", number % 2)
    splits = folder(tmp_path, images="all", masks="all", mask_suffix="_mask")
    assert len(splits.labeled) == 2 and len(splits.unlabeled) == 0 and len(splits.val) == 1


def test_the_root_itself_may_hold_the_images(root):
    for path in (root / "images").iterdir():
        path.rename(root / path.name)
    splits = folder(root, images=".", classes=["a", "b", "c"])
    assert [len(part) for part in (splits.labeled, splits.unlabeled, splits.val)] == [8, 4, 2]


def test_masks_in_color_through_a_table_with_void(root):
    (root / "classes.csv").write_text("name,r,g,b\nvoid,0,0,0\nroad,10,0,0\ncar,0,20,0\n")
    for number in range(10):
        pixels = np.zeros((6, 8, 3), dtype=np.uint8)
        pixels[2:4, :, 0] = 10
        pixels[4:, :, 1] = 20
        Image.fromarray(pixels).save(root / "masks" / f"{number}.png")
    splits = folder(root, size=(6, 8))
    assert splits.spec.classes == ("road", "car") and splits.spec.colors[1] == (0, 20, 0)
    expected = torch.tensor([IGNORE, IGNORE, 0, 0, 1, 1])[:, None].expand(6, 8)
    assert torch.equal(splits.labeled[0]["label"], expected)


def test_names_of_all_sorts_pair(tmp_path):
    composed, apart = "\u00e9t\u00e9", "e\u0301te\u0301"  # the same name, as two systems store it
    for name, other in (("a b.c", "a b.c"), (composed, apart), ("x" * 200, "x" * 200)):
        save(tmp_path / "images" / f"{name}.jpg", 9)
        save(tmp_path / "masks" / f"{other}.png", 1)
    save(tmp_path / "images" / ".hidden.jpg", 9)
    splits = folder(tmp_path, classes=["a", "b"])
    assert len(splits.labeled) == 2 and len(splits.val) == 1 and len(splits.unlabeled) == 0


def test_loops_of_links_end(root):
    (root / "images" / "loop").symlink_to(root / "images")
    (root / "images" / "me").symlink_to(root / "images" / "me")
    assert len(folder(root).labeled) == 8
    (root / "unlabeled" / "me.png").symlink_to(root / "unlabeled" / "me.png")
    unlabeled = folder(root).unlabeled
    assert len(unlabeled) == 5
    with pytest.raises(InputError, match=r"me\.png cannot be read as an image"):
        list(unlabeled)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"root": "nowhere"}, r"data\.root=nowhere does not exist.*images/ and masks/"),
        ({"images": "pictures"}, r"pictures does not exist.*data\.images=pictures data\.masks="),
        ({"unlabeled_images": "more"}, r"data\.unlabeled_images=more: there is no folder"),
        ({"val_images": "held"}, r"data\.val_images=held: there is no folder"),
        ({"val_images": "images"}, r"val_masks does not exist.*data\.val_masks="),
        ({"val_share": 1.0}, r"data\.val_share=1\.0 must be between"),
        ({"mask_suffix": "_m"}, r"0 of 10 images have a mask .*data\.mask_suffix"),
        ({"classes": "none.txt"}, r"data\.classes=.*none\.txt cannot be read"),
        ({"labeled": 9}, r"data\.labeled=9 is more than the 8"),
        ({"partition": "1_16"}, r"data\.partition=1_16 is unknown: pass a folder that holds"),
        ({"cache": "images/0.jpg/x"}, r"data\.cache=.* cannot be made"),
    ],
)
def test_options_that_cannot_be_met(root, options, message, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(InputError, match=message):
        folder(**{"root": root} | options)


def test_two_files_of_one_name_are_refused(root):
    save(root / "masks" / "4.bmp", 1)
    with pytest.raises(InputError, match=r"4\.bmp and .*4\.png differ by their suffix only"):
        folder(root)


def test_an_id_is_not_class_and_void_at_once(root):
    with pytest.raises(
        InputError, match=r"makes the id 1 the class 'b', and data.void=\[1\] makes"
    ):
        folder(root, classes=["a", "b", "c"], void=[1])
    spec = folder(root, classes=["a", "b"], void=2).spec  # one id needs no list
    assert spec.ids == {0: 0, 1: 1, 2: IGNORE}


def test_results_of_predictions_are_no_images(root):
    before = len(folder(root).unlabeled)
    for kind in ("labels", "overlays"):
        (root / "unlabeled" / kind).mkdir(parents=True)
        Image.new("L", (4, 4)).save(root / "unlabeled" / kind / "x.png")
    assert len(folder(root).unlabeled) == before + 2  # folders of one's own may be called so
    (root / "unlabeled/options.json").write_text("{}")
    assert len(folder(root).unlabeled) == before


def test_masks_for_validation_need_images(root):
    with pytest.raises(InputError, match="val_masks=elsewhere needs images"):
        folder(root, val_masks="elsewhere")


def test_images_of_other_formats_are_named_and_the_others_train(root, caplog):
    for name in ("images/x.dng", "masks/x.npy", "unlabeled/y.raw", "images/notes.txt"):
        (root / name).write_bytes(b"x")
    splits = folder(root)
    assert [len(part) for part in (splits.labeled, splits.unlabeled, splits.val)] == [8, 4, 2]
    told = [record for record in caplog.records if "passed over" in record.getMessage()]
    assert [record.problem for record in told] == ["files of formats that are not read"] * 2
    assert "x.dng" in caplog.text and "x.npy" in caplog.text and "y.raw" in caplog.text
    assert "notes.txt" not in caplog.text


def test_images_and_masks_in_one_folder_are_told_of_once(tmp_path, caplog):
    for number in range(3):
        save(tmp_path / "all" / f"{number}.tif", 9)
        save(tmp_path / "all" / f"{number}_mask.png", number % 2)
    (tmp_path / "all/x.dng").write_bytes(b"x")
    folder(tmp_path, images="all", masks="all", mask_suffix="_mask")
    assert caplog.text.count("x.dng") == 1


def test_black_and_white_masks_have_two_classes(root):
    for number in range(10):
        save(root / "masks" / f"{number}.png", 255 * (number % 2))
    for given in ({"classes": ["ground", "block"]}, {}):
        if not given:
            (root / "classes.txt").write_text("ground\nblock\n")
        splits = folder(root, size=(6, 8), **given)
        assert all(torch.all(s["label"] == int(s["name"]) % 2) for s in splits.labeled)
