import numpy as np
import pytest
import torch
from PIL import Image

from pyg_mllc.data.exif import apply_orientation
from pyg_mllc.data.image_file import StoredSize, read_image_size, read_stored_size
from pyg_mllc.data.image_io import as_tensor, read_image
from pyg_mllc.data.mask_io import read_raw_mask

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def exif(orientation):
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def save(path, pixels, orientation=1, **options):
    if path.suffix == ".mpo":  # with a preview, as cameras add one
        options = {"save_all": True, "append_images": [Image.fromarray(pixels[::2, ::2])]}
    Image.fromarray(pixels).save(path, exif=exif(orientation), **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_exif_says(tmp_path, orientation):
    path = save(tmp_path / "image.png", PIXELS, orientation)
    found = np.asarray(read_image(path))
    expected = apply_orientation(PIXELS.transpose(2, 0, 1), orientation).transpose(1, 2, 0)
    assert np.array_equal(found, expected)
    if orientation == 6:  # the camera was held upright: turn the stored picture clockwise
        assert np.array_equal(found, np.rot90(PIXELS, k=-1))


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "mpo", "avif"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_layout_is_that_of_the_file(tmp_path, ending, orientation):
    path = save(tmp_path / f"image.{ending}", PIXELS, orientation)
    assert read_stored_size(path) == StoredSize(16, 24, orientation)
    assert read_image_size(path) == read_image(path).size[::-1]
    assert (read_image_size(path) == (24, 16)) == (orientation == 6)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("pixels", [PIXELS[..., 0], PIXELS], ids=["gray", "rgb"])
@pytest.mark.parametrize("orientation", [5, 6, 8])
def test_turned_tiff_files_keep_their_pixels(tmp_path, pixels, compression, orientation):
    path = save(tmp_path / "image.tif", pixels, orientation, compression=compression)
    upright = np.moveaxis(
        apply_orientation(np.atleast_3d(pixels).transpose(2, 0, 1), orientation), 0, -1
    )
    upright = np.broadcast_to(upright, (24, 16, 3))
    assert np.array_equal(np.asarray(read_image(path)), upright)
    opened = as_tensor(Image.open(path))
    assert torch.equal(opened, as_tensor(upright))


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("own", [1, 6])
@pytest.mark.parametrize("other", [1, 3, 8])
def test_masks_are_turned_as_they_say_or_as_another_file_does(tmp_path, ending, own, other):
    path = save(tmp_path / f"mask.{ending}", PIXELS[..., 0], own)
    assert np.array_equal(read_raw_mask(path), apply_orientation(PIXELS[..., 0], own))
    assert np.array_equal(read_raw_mask(path, other), apply_orientation(PIXELS[..., 0], other))


def test_the_layout_of_a_png_is_read_from_its_head(tmp_path):
    path = save(tmp_path / "image.png", PIXELS, 6)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"IDAT") + 20])  # its pixels are gone
    assert read_stored_size(path) == StoredSize(16, 24, 6)
    Image.fromarray(PIXELS).save(path)
    path.write_bytes(path.read_bytes()[:60])
    assert read_stored_size(path) == StoredSize(16, 24, 1)


def test_orientations_that_do_not_exist_turn_nothing(tmp_path):
    path = save(tmp_path / "image.jpg", PIXELS, 9)
    assert read_stored_size(path) == StoredSize(16, 24, 1)
