import os
from dataclasses import replace
from pathlib import Path

import pytest

from pyg_mllc.data import CAMVID, CITYSCAPES, CITYSCAPES_TRAIN_IDS, VOC, VOC_AUG
from pyg_mllc.data.file_pairs import DatasetFiles, FilePair
from pyg_mllc.data.split_lists import find_listed_files, read_list, write_list
from pyg_mllc.errors import InputError


def tree(root, names=(), spec=CAMVID):
    items = {name: FilePair(root / "train" / f"{name}.jpg", None) for name in names}
    for item in items.values():
        item.image.parent.mkdir(parents=True, exist_ok=True)
        item.image.touch()
    folders = dict.fromkeys(("train", "val"), (root / "train", root / "masks"))
    return DatasetFiles(spec, root, items, {}, folders)


@pytest.mark.parametrize("end", ["", "\n", "\r\n\n"])
@pytest.mark.parametrize(
    "line, image, mask",
    [
        ("2007_000032", "2007_000032", None),
        ("JPEGImages/a.jpg Masks/a.png", "JPEGImages/a.jpg", "Masks/a.png"),
        ("my images/a b.JPG my masks/a b.png", "my images/a b.JPG", "my masks/a b.png"),
        ("my images/one two.jpg", "my images/one two.jpg", None),
        ("v1.2 street.jpg v1.2 street.png", "v1.2 street.jpg", "v1.2 street.png"),
        ("été 1.jpg\tmasques/été 1.png", "été 1.jpg", "masques/été 1.png"),
    ],
)
def test_lines_name_images_and_perhaps_masks(tmp_path, line, image, mask, end):
    path = tmp_path / "list.txt"
    path.write_bytes(f"first.png{end or chr(10)}{line}{end}".encode())
    assert [entry[1:] for entry in read_list(path)] == [("first.png", None), (image, mask)]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "list.txt is empty"),
        (b" \n\n", "list.txt is empty"),
        (b"\xff\xfe\x00", "cannot be read as a list"),
    ],
)
def test_lists_without_names_are_refused(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_list(tmp_path / "list.txt")
    with pytest.raises(InputError, match=r"none\.txt does not exist"):
        read_list(tmp_path / "none.txt")


def test_a_missing_file_is_named_with_its_line(tmp_path):
    (tmp_path / "list.txt").write_text("one\n\ntwo\ntrain/one.jpg gone.png\n")
    with pytest.raises(InputError, match=r"list\.txt names 'two'.*line 3; 1 of 3 are missing"):
        find_listed_files(tmp_path / "list.txt", tree(tmp_path, ["one"]), "train", False)
    with pytest.raises(InputError, match=r"names 'one', but there is no mask in .*line 1; 3 of 3"):
        find_listed_files(tmp_path / "list.txt", tree(tmp_path, ["one"]), "train", True)


def test_names_paths_and_endings_find_the_same_image(tmp_path):
    known = tree(tmp_path, ["one"])
    (tmp_path / "list.txt").write_text("one\none.jpg\ntrain/one.jpg\n")
    found = find_listed_files(tmp_path / "list.txt", known, "train", False)
    assert found == [known.train["one"]] * 3


def test_the_masks_of_a_list_count_unless_they_store_something_else(tmp_path):
    name = "jena/jena_000078_000019"
    own = FilePair(
        tmp_path / f"i/{name}_leftImg8bit.png", tmp_path / f"m/{name}_gtFine_labelIds.png"
    )
    raw = replace(tree(tmp_path, spec=CITYSCAPES), train={name: own})
    listed = f"m/{name}_gtFine_labelTrainIds.png"
    (tmp_path / "list.txt").write_text(f"i/{name}_leftImg8bit.png {listed}")
    assert find_listed_files(tmp_path / "list.txt", raw, "train", False) == [own]
    trained = replace(raw, spec=CITYSCAPES_TRAIN_IDS)
    found = find_listed_files(tmp_path / "list.txt", trained, "train", False)
    assert found == [FilePair(own.image, tmp_path / listed)]


def test_written_lists_are_read_back(tmp_path):
    root = tmp_path / "data"
    names = ["a", "with space", "été", "x" * 200]
    items = [FilePair(root / f"{name}.jpg", root / "m" / f"{name}.png") for name in names]
    items.append(FilePair(tmp_path / "elsewhere" / "b.jpg", None))
    items.append(FilePair(root / "IMG.jpg 2.png", None))  # one image, which looks like two
    write_list(tmp_path / "list.txt", items, root)
    read = [
        FilePair(root / line.image, root / line.mask if line.mask else None)
        for line in read_list(tmp_path / "list.txt")
    ]
    assert read == items and os.listdir(tmp_path) == ["list.txt"]


SETS = {"pascal": VOC_AUG, "cityscapes": CITYSCAPES}


def test_the_lists_of_the_field_hold_the_numbers_of_their_names(real_data):
    folders = sorted(path.parent for path in (real_data / "partitions").rglob("labeled.txt"))
    assert len(folders) == 16
    for folder in folders:
        protocol = SETS[folder.parent.name].protocols[folder.name]
        labeled, unlabeled = (read_list(folder / f"{x}labeled.txt") for x in ("", "un"))
        assert (len(labeled), len(unlabeled)) == (protocol.labeled, protocol.of - protocol.labeled)
        images = {line.image for line in (*labeled, *unlabeled)}
        assert len(images) == protocol.of and all(line.mask for line in (*labeled, *unlabeled))
        assert {Path(line.image).suffix for line in labeled} <= {".jpg", ".png"}
    assert len(read_list(real_data / "partitions/pascal/val.txt")) == 1449
    assert len(read_list(real_data / "partitions/pascal/train_aug.txt")) == 10_582
    assert len(read_list(real_data / "partitions/cityscapes/val.txt")) == 500
    assert set(VOC.protocols) == {"92", "183", "366", "732", "1464"}
