from dataclasses import replace

import pytest
from PIL import Image

from pyg_mllc.data import VOC_AUG, Protocol, load_dataset, write_partition
from pyg_mllc.errors import InputError

SPEC = replace(
    VOC_AUG,
    protocols={
        "3": Protocol(3, of=12, fine="only"),
        "1_2": Protocol(6, of=12),
        "fine_1_2": Protocol(6, of=12, fine="first"),
        "99": Protocol(99, of=1000),
    },
)


@pytest.fixture
def root(tmp_path):
    """12 training images, the first 4 of them in the fine list, and 3 for validation."""
    root = tmp_path / "voc"
    for folder in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for index in range(15):
        Image.new("RGB", (4, 4), (index, 0, 0)).save(root / f"JPEGImages/{index}.png")
        Image.new("L", (4, 4), index).save(root / f"SegmentationClassAug/{index}.png")
    for name, numbers in (("trainaug", range(12)), ("train", range(4)), ("val", range(12, 15))):
        text = "\n".join(map(str, numbers))
        (root / f"ImageSets/Segmentation/{name}.txt").write_text(text)
    return root


def make(root, **options):
    return load_dataset(SPEC, root, **{"labeled": 2, "size": (4, 4)} | options)


def numbers(*parts):
    return [[int(path.stem) for path in part.images] for part in parts]


@pytest.mark.parametrize(
    "partition, labeled, fine", [("3", 3, 3), (3, 3, 3), ("1/2", 6, None), ("fine_1_2", 6, 4)]
)
def test_protocols_draw_their_number_from_their_images(root, partition, labeled, fine, caplog):
    splits = make(root, partition=partition)
    known, others = numbers(splits.labeled, splits.unlabeled)
    assert len(known) == labeled and sorted(known + others) == list(range(12))
    if fine is not None:
        assert sum(number < 4 for number in known) == fine
    assert "will not compare" not in caplog.text


def test_another_number_of_images_than_published_is_told(root, caplog):
    with pytest.raises(InputError, match=r"data\.labeled=99 is more than the 12"):
        make(root, partition="99")
    assert "of 1000 training images, but" in caplog.text and "has 12" in caplog.text


def test_lists_replace_the_draw(root, tmp_path):
    (tmp_path / "labeled.txt").write_text("7\n1")
    splits = make(root, partition=tmp_path)
    assert numbers(splits.labeled, splits.val) == [[7, 1], [12, 13, 14]]
    assert numbers(splits.unlabeled)[0] == [i for i in range(12) if i not in (1, 7)]
    (tmp_path / "unlabeled.txt").write_text("JPEGImages/9.png\n3")
    (tmp_path / "val.txt").write_text("14\n")
    splits = make(root, partition=tmp_path)
    assert numbers(splits.labeled, splits.unlabeled, splits.val) == [[7, 1], [9, 3], [14]]
    nested = tmp_path / "deep"
    nested.mkdir()
    (tmp_path / "labeled.txt").rename(nested / "labeled.txt")
    assert numbers(make(root, partition=nested).val) == [[14]]  # the list one folder up


def test_labeled_and_unlabeled_lists_are_apart_unless_asked(root, tmp_path):
    (tmp_path / "labeled.txt").write_text("7\n1")
    (tmp_path / "unlabeled.txt").write_text("3\n1")
    with pytest.raises(InputError, match=r"unlabeled\.txt names .*1\.png, which.*1 such.*overlap"):
        make(root, partition=tmp_path)
    splits = make(root, partition=tmp_path, overlap=True)
    assert numbers(splits.labeled, splits.unlabeled) == [[7, 1], [3, 1]]
    assert numbers(make(root, overlap=True).unlabeled) == [list(range(12))]


@pytest.mark.parametrize(
    "lists, message",
    [
        ({}, r"labeled\.txt does not exist"),
        ({"labeled": ""}, r"labeled\.txt is empty"),
        ({"labeled": "7\n70"}, r"names '70', .*line 2; 1 of 2 .*data\.root="),
        ({"labeled": "7" * 300}, r"names '7777"),
        ({"labeled": "7\0"}, r"labeled\.txt names"),
        ({"labeled": "7 x.png"}, r"names '7 x\.png'"),
        ({"labeled": "JPEGImages/7.png x.png"}, r"there is no .*x\.png \(line 1"),
        ({"labeled": "7", "val": ""}, r"val\.txt is empty"),
        ({"labeled": "7", "unlabeled": "8\n\n80"}, r"unlabeled\.txt names '80'.*line 3"),
    ],
)
def test_lists_that_cannot_be_met(root, tmp_path, lists, message):
    for name, text in lists.items():
        (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        make(root, partition=tmp_path)


def test_an_unknown_partition_lists_the_protocols(root):
    with pytest.raises(InputError, match=r"data\.partition=1_3 is unknown: pass 3, 1_2, fine_1_2"):
        make(root, partition="1_3")


@pytest.mark.parametrize("options", [{}, {"unlabeled": 0}, {"unlabeled": 3, "val": 2}])
def test_a_written_partition_is_the_same_partition(root, tmp_path, options):
    splits = make(root, seed=3, **options)
    write_partition(splits, tmp_path / "partition", root)
    again = make(root, partition=tmp_path / "partition", **options)
    parts = [numbers(s.labeled, s.unlabeled, s.val) for s in (splits, again)]
    assert parts[0] == parts[1]
    assert again.labeled.masks == splits.labeled.masks
    text = (tmp_path / "partition/labeled.txt").read_text()
    first = parts[0][0][0]
    assert text.startswith(f"JPEGImages/{first}.png SegmentationClassAug/{first}.png\n")


def test_balanced_draws_and_the_classes_that_are_lacking(root):
    for index in range(12):
        Image.new("L", (4, 4), 5 if index == 8 else 0).save(
            root / f"SegmentationClassAug/{index}.png"
        )
    drawn = [make(root, balanced=True, seed=s) for s in range(4)]
    assert all(8 in numbers(splits.labeled)[0] for splits in drawn)
    message = drawn[-1].label_warnings[-1]
    assert "the labeled masks (2 of 2 read) have no pixel of 'aeroplane', 'bicycle'" in message
    assert "background" not in message and "'bottle'" not in message  # the class 5
    assert "data.balanced=true" in message
