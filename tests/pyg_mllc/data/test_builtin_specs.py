from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from pyg_mllc.data import (
    CAMVID,
    CAMVID32,
    CAMVID_COLORS,
    CITYSCAPES,
    CITYSCAPES_TRAIN_IDS,
    SPECS,
    VOC,
    load_dataset,
)
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_set_is_whole(spec):
    assert spec.num_classes == len(set(spec.classes)) == len(set(spec.colors))
    assert all(0 <= channel <= 255 for color in spec.colors for channel in color)
    for table in (spec.ids, spec.palette):  # every class can be stored in either way
        assert set(table.values()) - {IGNORE} == set(range(spec.num_classes))


def test_camvid_joins_31_colors_to_11_classes():
    assert CAMVID32.num_classes == 31
    table = CAMVID.palette
    assert set(CAMVID32.colors) == {c for c, label in table.items() if label != IGNORE}
    joined = dict.fromkeys(CAMVID.classes, 0)
    for name, color in zip(CAMVID32.classes, CAMVID32.colors, strict=True):
        joined[CAMVID.classes[table[color]]] += 1
        if name in CAMVID.classes:
            assert CAMVID.classes[table[color]] == name
    assert list(joined.values()) == [1, 5, 2, 3, 3, 2, 3, 1, 5, 4, 2]


def test_voc_colors_are_the_published_ones():
    assert VOC.colors[:5] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert VOC.colors[VOC.classes.index("person")] == (192, 128, 128)
    assert VOC.colors[VOC.classes.index("tvmonitor")] == (0, 64, 128)


def test_an_unknown_set_lists_those_there_are():
    with pytest.raises(InputError, match=r"data\.spec=kitti is none of voc, .*data=folder"):
        load_dataset("kitti", None, 1, (8, 8))


CITIES = {"train": ["aachen", "jena"], "val": ["frankfurt"]}


@pytest.fixture
def cityscapes(tmp_path):
    """The official layout: every file that the annotations come with, ids 0-33 in turn."""
    ids = np.arange(-1, 34).reshape(5, 7).astype(np.uint8)  # -1, the license plate, becomes 255
    trained = np.full_like(ids, IGNORE)
    for label, code in enumerate((7, 8, 11, 12, 13, *range(17, 29), 31, 32, 33)):
        trained[ids == code] = label - (code > 18)  # 18 is void
    trained[ids == 18] = IGNORE
    for split, cities in CITIES.items():
        for number, city in enumerate(chain(*([name] * 3 for name in cities))):
            stem = f"{city}_{number:06d}_000019"
            image, mask = (tmp_path / kind / split / city for kind in ("leftImg8bit", "gtFine"))
            for path in (image, mask):
                path.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (7, 5), (number, 0, 0)).save(image / f"{stem}_leftImg8bit.png")
            Image.fromarray(ids).save(mask / f"{stem}_gtFine_labelIds.png")
            Image.fromarray(trained).save(mask / f"{stem}_gtFine_labelTrainIds.png")
            Image.fromarray(ids).save(mask / f"{stem}_gtFine_instanceIds.png")
            Image.new("RGBA", (7, 5)).save(mask / f"{stem}_gtFine_color.png")
            (mask / f"{stem}_gtFine_polygons.json").write_text("{}")
    return tmp_path


def test_cityscapes_raw_ids_and_train_ids_are_the_same_labels(cityscapes):
    raw, trained = (
        load_dataset(name, cityscapes, labeled=2, size=(5, 7))
        for name in ("cityscapes", "cityscapes_train_ids")
    )
    assert [len(part) for part in (raw.labeled, raw.unlabeled, raw.val)] == [2, 4, 3]
    assert raw.labeled.images == trained.labeled.images
    label = raw.labeled[0]["label"]
    assert torch.equal(label, trained.labeled[0]["label"])
    assert sorted(label[label != IGNORE].tolist()) == list(range(19))
    assert (label == IGNORE).sum() == 35 - 19
    assert label[0, 0] == IGNORE and label[1, 1] == 0  # -1 and 7
    assert CITYSCAPES.colors == CITYSCAPES_TRAIN_IDS.colors


def test_the_lists_of_the_field_read_cityscapes(cityscapes, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    lines = [
        f"leftImg8bit/train/jena/jena_00000{i}_000019_leftImg8bit.png "
        f"gtFine/train/jena/jena_00000{i}_000019_gtFine_labelTrainIds.png"
        for i in (3, 4, 5)
    ]
    (lists / "labeled.txt").write_text(lines[2])
    (lists / "unlabeled.txt").write_text("\n".join(lines[:2]))
    for name in ("cityscapes", "cityscapes_train_ids"):
        splits = load_dataset(name, cityscapes, labeled=2, size=(5, 7), partition=str(lists))
        assert [path.name[:11] for path in splits.labeled.images] == ["jena_000005"]
        assert [path.name[:11] for path in splits.unlabeled.images] == [
            "jena_000003",
            "jena_000004",
        ]
        assert len(splits.labeled[0]["label"].unique()) == 20


def test_camvid_in_color(tmp_path):
    for split in ("train", "val"):
        for folder in (split, f"{split}_labels"):
            (tmp_path / folder).mkdir()
        for name in ("0001TP_1", "0001TP_2"):
            Image.new("RGB", (32, 1)).save(tmp_path / split / f"{name}.png")
            pixels = np.array([[*CAMVID32.colors, (0, 0, 0)]], dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{split}_labels" / f"{name}_L.png")
    labels = {
        spec.name: load_dataset(spec, tmp_path, labeled=1, size=(1, 32)).labeled[0]["label"]
        for spec in (CAMVID32, CAMVID_COLORS)
    }
    assert labels["camvid32"].tolist() == [[*range(31), IGNORE]]
    assert set(labels["camvid_colors"].unique().tolist()) == {*range(11), IGNORE}
    assert CAMVID.classes[labels["camvid_colors"][0, CAMVID32.classes.index("wall")]] == "building"
