import numpy as np
import pytest
import tifffile
from PIL import Image

from pyg_mllc.data.image_file import read_image_size
from pyg_mllc.data.image_io import read_image
from pyg_mllc.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
PREVIEW, MASK = 1, 4  # bits of NewSubfileType


def write(path, *pages):
    """Write pages, each its pixels and what kind it says that it is."""
    with tifffile.TiffWriter(path) as file:
        for pixels, kind in pages:
            color = "rgb" if pixels.ndim == 3 else "minisblack"
            file.write(pixels, photometric=color, subfiletype=kind, metadata=None)


def test_previews_and_transparency_masks_are_no_pages(tmp_path):
    path, half = tmp_path / "photo.tif", RGB[::2, ::2].copy()
    for pages in (
        [(RGB, 0), (half, PREVIEW), (half[::2, ::2].copy(), PREVIEW)],
        [(half, PREVIEW), (RGB, 0)],
        [(RGB, 0), (RGB[..., 0] > 99, MASK)],
    ):
        write(path, *pages)
        assert np.array_equal(np.asarray(read_image(path)), RGB)
        assert read_image_size(path) == (32, 48)


def test_pages_of_any_size_are_pages(tmp_path):
    write(tmp_path / "scan.tif", (RGB, 0), (RGB[:9].copy(), 0), (RGB[:5].copy(), PREVIEW))
    with pytest.raises(InputError, match=r"scan\.tif holds 2 pictures, and one is expected"):
        read_image(tmp_path / "scan.tif")


def test_pictures_below_a_page_are_its_smaller_versions(tmp_path):
    with tifffile.TiffWriter(tmp_path / "photo.tif") as file:
        file.write(RGB, photometric="rgb", subifds=1)
        file.write(RGB[::2, ::2].copy(), photometric="rgb", subfiletype=PREVIEW)
    assert np.array_equal(np.asarray(read_image(tmp_path / "photo.tif")), RGB)


def test_the_preview_of_a_raw_photo_is_not_the_photo(tmp_path):
    with tifffile.TiffWriter(tmp_path / "raw.tif") as file:
        file.write(RGB[::2, ::2].copy(), photometric="rgb", subfiletype=PREVIEW, subifds=1)
        file.write(RGB, photometric="rgb")
    with pytest.raises(InputError, match=r"raw\.tif holds only a preview of a raw photo"):
        read_image(tmp_path / "raw.tif")


def test_files_without_a_page_are_told(tmp_path):
    (tmp_path / "empty.tif").write_bytes(b"II*\0\0\0\0\0")
    with pytest.raises(InputError, match=r"empty\.tif cannot be read .*a TIFF without a page"):
        read_image(tmp_path / "empty.tif")


def test_loops_of_pages_end(tmp_path):
    path = tmp_path / "loop.tif"
    Image.fromarray(RGB).save(path)
    content = bytearray(path.read_bytes())
    start = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[start : start + 2], "little")
    end = start + 2 + 12 * count
    content[end : end + 4] = content[4:8]  # the next page is the first one
    path.write_bytes(content)
    assert np.array_equal(np.asarray(read_image(path)), RGB)
