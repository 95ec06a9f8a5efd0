"""Whatever a file holds, reading it ends in a sample or in an error that names it."""

import os
import random
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pyg_mllc.data import DatasetSpec, SegmentationDataset, folder
from pyg_mllc.data.class_table import read_classes
from pyg_mllc.data.split_lists import read_list
from pyg_mllc.errors import InputError

SPEC = DatasetSpec("three", ("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


def whole(sample, size):
    """Whether a sample is what every sample is."""
    label = sample["label"]
    return (
        sample["image"].shape == (3, *size)
        and sample["image"].dtype == torch.uint8
        and label.shape == size
        and set(label.unique().tolist()) <= {0, 1, 2, 255}
    )


def save(path, size, value=1, mode="L"):
    Image.new(mode, size, value).save(path)
    return path


@pytest.mark.parametrize("size", [(1, 1), (20_000, 10), (1, 300)])
def test_odd_sizes_are_samples(tmp_path, size):
    image = save(tmp_path / "image.png", size, (9, 9, 9), "RGB")
    mask = save(tmp_path / "mask.png", size)
    sample = SegmentationDataset([image], [mask], SPEC, (24, 32))[0]
    assert whole(sample, (24, 32)) and (sample["label"] == 1).any()
    valid = SegmentationDataset([image], None, SPEC, (24, 32))[0]["valid"]
    assert torch.equal(valid, sample["label"] == 1)


def bomb(path):
    """A PNG of 60,000 x 60,000 pixels in some 100 bytes."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b""))


@pytest.mark.parametrize("part", ["image", "mask"])
@pytest.mark.parametrize("kind", ["bomb", "empty", "png", "jpg", "folder", "loop", "missing"])
def test_files_that_are_no_images_are_named(tmp_path, part, kind):
    paths = {p: save(tmp_path / f"{p}.png", (40, 30)) for p in ("image", "mask")}
    bad = tmp_path / ("bad.jpg" if kind == "jpg" else "bad.png")
    if kind == "bomb":
        bomb(bad)
    elif kind == "empty":
        bad.touch()
    elif kind in ("png", "jpg"):
        noise = np.random.default_rng(0).integers(0, 3, (30, 40), dtype=np.uint8)
        Image.fromarray(noise).save(bad)
        bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    elif kind == "folder":
        bad.mkdir()
    elif kind == "loop":
        bad.symlink_to(bad)
    paths[part] = bad
    dataset = SegmentationDataset([paths["image"]], [paths["mask"]], SPEC, (24, 32))
    told = "does not exist: give" if kind == "missing" else "cannot be read as an image .*: replace"
    with pytest.raises(InputError, match=f"{bad.name} {told}"):
        dataset[0]


def test_a_folder_that_may_not_be_read_is_named():
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for part in ("masks", "images"):
            (root / part).mkdir()
            save(root / part / "0.png", (4, 4))
        (root / "images").chmod(0)
        try:
            if user == 0:  # root reads everything: be somebody else
                os.seteuid(65534)
            with pytest.raises(InputError, match=r"images cannot be read \(Permission denied\): "):
                folder(root, classes=["a", "b"])
        finally:
            os.seteuid(user)
            (root / "images").chmod(0o755)


def mutated(content, rng):
    """Some bytes changed, cut out, doubled or inserted, as broken disks and tools do."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            del data[at : at + rng.randrange(1, 9)]
        elif kind == 2:
            data[at:at] = data[at : at + rng.randrange(1, 30)]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 5))
        else:
            data[at : at + 1] = rng.randbytes(1)
        if not data:
            break
    return bytes(data)


SEEDS = [
    ("png", {}), ("jpg", {}), ("tif", {"compression": "tiff_lzw"}), ("pcx", {}), ("bmp", {}),
    ("gif", {}), ("webp", {"lossless": True}), ("ppm", {}), ("tga", {}), ("jp2", {}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # what Pillow thinks of such files
@pytest.mark.parametrize("kind, options", SEEDS, ids=[f"{k}{len(o)}" for k, o in SEEDS])
def test_mutated_images_and_masks_end_in_a_sample_or_the_error(tmp_path, kind, options):
    rng = random.Random(kind)
    noise = np.random.default_rng(0)
    lossy = kind in ("jpg", "jp2")
    paths = [tmp_path / f"image.{kind}", tmp_path / f"mask.{'png' if lossy else kind}"]
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = {"exif": exif} if kind in ("png", "jpg", "webp") else {}
    picture = Image.fromarray(noise.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    picture.save(paths[0], **options, **turned)
    ids = Image.fromarray(noise.integers(0, 3, (16, 12) if turned else (12, 16), dtype=np.uint8))
    ids.save(paths[1], **options)
    dataset = SegmentationDataset(paths[:1], paths[1:], SPEC, (8, 10))
    ends = {"sample": 0, "error": 0}
    for path in paths:
        content = path.read_bytes()
        for _ in range(105):
            path.write_bytes(mutated(content, rng))
            try:
                sample = dataset[0]
            except InputError as error:
                assert path.name in str(error)
                ends["error"] += 1
            else:
                assert whole(sample, (8, 10))
                ends["sample"] += 1
        path.write_bytes(content)
    assert ends["error"] > 20


@pytest.mark.parametrize(
    "read, content",
    [
        (read_list, "JPEGImages/a b.jpg Masks/a b.png\n2007_000032\nété.png\tx.png\n".encode()),
        (read_classes, b"id,name,r,g,b\n0,road,128,64,128\n1,\"a, b\",0,0,1\n255,void,0,0,0\n"),
    ],
    ids=["list", "table"],
)  # fmt: skip
def test_mutated_lists_and_tables_end_in_what_they_say_or_the_error(tmp_path, read, content):
    rng = random.Random(0)
    path, ends = tmp_path / "some.txt", set()
    for _ in range(400):
        path.write_bytes(mutated(content, rng))
        try:
            assert read(path)
            ends.add("read")
        except InputError as error:
            assert "some.txt" in str(error)
            ends.add("error")
    assert ends == {"read", "error"}
