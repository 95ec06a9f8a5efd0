import logging
import multiprocessing
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from pyg_mllc.data import DatasetSpec, SegmentationDataset
from pyg_mllc.errors import InputError

SPEC = DatasetSpec("three", ("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (5, 5, 5)))


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    images, masks = [], []
    for number in range(6):
        images.append(tmp_path / f"{number}.jpg")
        masks.append(tmp_path / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, (18, 25, 3), dtype=np.uint8)).save(images[-1])
        Image.fromarray(rng.integers(0, 3, (18, 25), dtype=np.uint8)).save(masks[-1])
    return images, masks


def entries(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def equal(one, other):
    return all(
        a.keys() == b.keys()
        and all(torch.equal(a[k], b[k]) if k != "name" else a[k] == b[k] for k in a)
        and all(a[k].dtype == b[k].dtype for k in a if k != "name")
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("labeled", [True, False])
def test_samples_are_the_same_with_and_without(files, tmp_path, labeled):
    images, masks = files
    masks = masks if labeled else None
    plain = SegmentationDataset(images, masks, SPEC, (16, 24))
    cached = SegmentationDataset(images, masks, SPEC, (16, 24), tmp_path / "cache")
    assert equal(plain, cached) and len(entries(tmp_path / "cache")) == 6
    assert equal(plain, cached) and len(entries(tmp_path / "cache")) == 6
    cached[0]["image"].fill_(0)  # a sample is the caller's own
    assert equal(plain, cached)


def test_what_is_kept_is_read_instead_of_decoded(files, tmp_path):
    images, masks = files
    cached = SegmentationDataset(images, masks, SPEC, (16, 24), tmp_path / "cache")
    before = [cached[0]["label"].clone(), cached[0]["image"].clone()]
    entry = entries(tmp_path / "cache")[0]
    planes = np.fromfile(entry, np.uint8)
    planes[-1] = 255 - planes[-1]
    planes.tofile(entry)
    after = cached[0]
    assert (before[0] != after["label"]).sum() == 1 and torch.equal(before[1], after["image"])


def test_new_content_size_or_meaning_is_never_taken_for_the_old(files, tmp_path):
    images, masks = files
    options = {"cache": tmp_path / "cache"}
    list(SegmentationDataset(images, masks, SPEC, (16, 24), **options))
    Image.new("RGB", (25, 18), (7, 7, 7)).save(images[0].with_suffix(".bmp"))
    os.replace(images[0].with_suffix(".bmp"), images[0])
    Image.new("L", (25, 18), 2).save(masks[1])
    other = DatasetSpec("other", SPEC.classes, SPEC.colors, codes={0: 2, 1: 1, 2: 0})
    for spec, size in ((SPEC, (16, 24)), (SPEC, (24, 16)), (other, (16, 24))):
        for own in (masks, None):
            plain = SegmentationDataset(images, own, spec, size)
            assert equal(plain, SegmentationDataset(images, own, spec, size, **options))


def test_deleted_and_broken_entries_are_made_anew(files, tmp_path):
    images, masks = files
    plain = SegmentationDataset(images, masks, SPEC, (16, 24))
    cached = SegmentationDataset(images, masks, SPEC, (16, 24), tmp_path / "cache")
    assert equal(plain, cached)
    for path, content in zip(entries(tmp_path / "cache"), (b"", b"x"), strict=False):
        path.write_bytes(content)
    assert equal(plain, cached)
    assert all(path.stat().st_size == 4 * 16 * 24 for path in entries(tmp_path / "cache"))
    shutil.rmtree(tmp_path / "cache")
    assert equal(plain, cached) and len(entries(tmp_path / "cache")) == 6


def _read(images, masks, cache, results):
    dataset = SegmentationDataset(images, masks, SPEC, (16, 24), cache)
    results.put(sum(int(sample["label"].sum()) for _ in range(20) for sample in dataset))


def test_processes_may_start_at_once(files, tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    arguments = (*files, tmp_path / "cache", results)
    processes = [context.Process(target=_read, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    sums = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    expected = sum(int(s["label"].sum()) for s in SegmentationDataset(*files, SPEC, (16, 24)))
    assert sums == [20 * expected] * 4
    assert len(entries(tmp_path / "cache")) == 6  # nothing half-written is left


def test_bad_files_are_named_as_without(files, tmp_path):
    images, masks = files
    masks[0].unlink()
    images[1].write_bytes(b"")
    cached = SegmentationDataset(images, masks, SPEC, (16, 24), tmp_path / "cache")
    for index, told in ((0, r"0\.png does not exist"), (1, r"1\.jpg cannot be read")):
        with pytest.raises(InputError, match=told):
            cached[index]
    assert not entries(tmp_path / "cache")


def test_a_folder_that_cannot_be_written_stops_nothing(files, tmp_path, caplog):
    images, masks = files
    cached = SegmentationDataset(images, masks, SPEC, (16, 24), tmp_path / "cache")
    (tmp_path / "cache").rmdir()
    (tmp_path / "cache").write_text("a file where the folder was")
    with caplog.at_level(logging.WARNING):
        assert equal(SegmentationDataset(images, masks, SPEC, (16, 24)), cached)
    assert caplog.text.count("nothing more is kept in data.cache=") == 1
    with pytest.raises(InputError, match=r"data\.cache=.*cache cannot be made"):
        SegmentationDataset(images, masks, SPEC, (16, 24), tmp_path / "cache")
