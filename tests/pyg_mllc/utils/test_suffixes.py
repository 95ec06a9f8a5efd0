import importlib.util

import numpy as np
import pytest
from PIL import Image

from pyg_mllc.data.image_io import read_image
from pyg_mllc.errors import InputError
from pyg_mllc.utils.files import find_files
from pyg_mllc.utils.suffixes import describe_skipped, image_suffixes, is_unsupported_image

HEIF = importlib.util.find_spec("pillow_heif") is not None


@pytest.mark.parametrize(
    "name", ["a.dng", "b.CR2", "c.nef", "d.npy", "e.pdf", "f.mp4", "g.exr", "h.nii.gz", "i.svg"]
)
def test_images_of_other_formats_are_passed_over(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert is_unsupported_image(tmp_path / name, image_suffixes())


@pytest.mark.parametrize(
    "name",
    ["a.txt", "b.json", "c.csv", "Thumbs.db", "README", "d.xml", "e.py", "f.jpg.part", "g.unknown"],
)
def test_files_beside_images_are_none(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of an image")
    assert not is_unsupported_image(tmp_path / name, image_suffixes())


@pytest.mark.parametrize("name", ["IMG_0001", "a.jpg_large", "b.png~", "c.bak"])
def test_images_of_no_or_unusual_suffix_are_passed_over(tmp_path, name):
    Image.new("RGB", (4, 4)).save(tmp_path / "whole.png")
    (tmp_path / "whole.png").rename(tmp_path / name)
    assert is_unsupported_image(tmp_path / name, image_suffixes())


def test_read_suffixes_are_not_passed_over_whatever_their_case(tmp_path):
    assert not any(
        is_unsupported_image(tmp_path / n, image_suffixes()) for n in ("A.PNG", "b.Jpeg")
    )
    assert is_unsupported_image(tmp_path / "a.jpg", {".png"}) and not is_unsupported_image(
        tmp_path / "a.npy", {".npy"}
    )


def test_the_sentence_counts_and_names_at_most_five(tmp_path):
    paths = [tmp_path / f"{number}.dng" for number in range(7)]
    told = describe_skipped(paths)
    assert told.startswith("7 files are passed over") and "and 2 more" in told
    assert all(str(path) in told for path in paths[:5]) and str(paths[5]) not in told
    assert "convert it to PNG" in describe_skipped(paths[:1])


@pytest.mark.parametrize("given", ["all", "all/*"])
def test_folders_and_globs_name_what_they_pass_over(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all/2024.png").mkdir(parents=True)  # a folder, in spite of its name
    for name in ("a.PNG", "2024.png/b.Jpeg"):
        Image.new("RGB", (4, 4)).save(tmp_path / "all" / name)
    for name in ("c.dng", ".DS_Store", ".d.dng", "e.txt"):
        (tmp_path / "all" / name).write_bytes(b"x")
    found = find_files("input", given, image_suffixes())
    names = {source.name for source in found.sources}
    assert names == ({"a", "2024.png/b"} if given == "all" else {"a"})
    assert [path.name for path in found.skipped] == ["c.dng"]


def test_a_folder_of_which_nothing_is_read_says_what_is_there(tmp_path):
    (tmp_path / "a.dng").write_bytes(b"x")
    with pytest.raises(InputError, match=r"has no file ending in .*1 file is passed over.*a\.dng"):
        find_files("input", tmp_path, image_suffixes())


@pytest.mark.skipif(HEIF, reason="pillow-heif reads it")
def test_heic_without_its_package_is_passed_over_and_names_it(tmp_path):
    path = tmp_path / "a.heic"
    path.write_bytes(b"x")
    assert is_unsupported_image(path, image_suffixes())
    assert "pip install pillow-heif" in describe_skipped([path])
    with pytest.raises(InputError, match="pip install pillow-heif"):
        read_image(path)


@pytest.mark.skipif(not HEIF, reason="needs pillow-heif")
def test_heic_is_read_with_its_package(tmp_path):
    Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / "a.heic")
    [source] = find_files("input", tmp_path, image_suffixes()).sources
    pixels = np.asarray(read_image(source.path))
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - [200, 30, 30]).max() < 12
