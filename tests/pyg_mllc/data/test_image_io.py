import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pyg_mllc.data.image_io import fitted_size, letterbox, read_image
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE


def picture(height=5, width=7):
    return Image.fromarray(np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "RGB"])
def test_every_mode_becomes_rgb_of_the_same_colors(tmp_path, mode):
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[:, 3:] = 255
    Image.fromarray(pixels).convert(mode).save(tmp_path / "image.png")
    found = read_image(tmp_path / "image.png")
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), pixels)


def test_transparent_palette_reads_without_warning(tmp_path, recwarn):
    image = picture().convert("P")
    image.save(tmp_path / "image.png", transparency=bytes([0, 128] * 8))
    assert np.array_equal(read_image(tmp_path / "image.png"), image.convert("RGB"))
    assert not recwarn.list


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_broken_files_are_input_errors(tmp_path, kind):
    stream = io.BytesIO()
    picture(64, 64).save(stream, kind)
    whole = stream.getvalue()
    path = tmp_path / "broken"
    for length in (0, 1, 20, len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="broken cannot be read as an image"):
            read_image(path)


@settings(deadline=None)
@given(*[st.integers(1, 500)] * 4)
def test_fitted_size_fits_and_touches_a_side(height, width, high, wide):
    fitted = fitted_size(height, width, (high, wide))
    assert 1 <= fitted[0] <= high and 1 <= fitted[1] <= wide
    assert fitted[0] == high or fitted[1] == wide


def test_letterbox_repeats_ids_and_fills_the_rest():
    ids = Image.fromarray(np.array([[1, 2, 0], [0, 1, 2]], dtype=np.int32))
    boxed = letterbox(ids, (7, 6), nearest=True, fill=IGNORE)
    expected = np.full((7, 6), IGNORE)
    expected[:4] = np.kron([[1, 2, 0], [0, 1, 2]], np.ones((2, 2), dtype=int))
    assert np.array_equal(boxed, expected)


def test_letterbox_shrinks_images_to_means():
    stripes = np.zeros((32, 32, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    boxed = letterbox(Image.fromarray(stripes), (4, 8), nearest=False, fill=0)
    # Without antialiasing the stripes would come out as 0 or 200.
    assert np.all(np.abs(boxed[:4, :4].astype(int) - 100) <= 30)
    assert np.all(boxed[:, 4:] == 0)
