import re

import pytest
from PIL import Image


@pytest.fixture
def explain(mllc, checkpoint_file):
    return lambda *options: mllc("explain", f"checkpoint={checkpoint_file}", *options)


def test_a_pixel_is_explained_in_a_picture_and_a_table(explain, photos, tmp_path):
    code, out, err = explain("image=my photos/é (1), it's=b.png", "pixel=50,10")
    assert code == 0, err
    assert "before" in out and "round 1" in out and "round 2" in out
    assert "picture: explain_é (1), it's=b_50_10.png" in out.replace("\n", "")
    assert Image.open(tmp_path / "explain_é (1), it's=b_50_10.png").size[0] > 1000
    assert explain("image=my photos/a.png", "pixel=[0,0]", "output=pictures/x.png")[0] == 0
    assert (tmp_path / "pictures/x.png").is_file()


@pytest.mark.parametrize(
    "options, message",
    [
        (["image=my photos/a.png", "pixel=60,10"], "pixel=60,10 lies outside .* 60 columns and 40"),
        (["image=my photos/a.png", "pixel=-1,10"], "pixel=-1,10 must be column and row"),
        (["image=my photos/a.png", "pixel=5"], "pixel=5 must be column and row"),
        (["image=my photos/a.png", "pixel=1.5,2"], "must be column and row, such as pixel=120,80"),
        (["image=nowhere.png", "pixel=1,1"], "nowhere.png does not exist"),
        (["image=my photos/a.png", "pixel=1,1", "output=x.jpg"], "ending in .png"),
        (["image=my photos/a.png", "pixel=1,1", "output=my photos/a.png"], "would be overwritten"),
        (["image=my photos/a.png"], "pixel=... is not given; mllc explain --help shows"),
        (["image=my photos/a.png", "pixel=1,1", "output=/proc/x/y.png"], "No such file"),
    ],
)
def test_bad_input_gets_one_sentence(explain, photos, options, message, content, tmp_path):
    before = content(tmp_path)
    code, _, err = explain(*options)
    assert code == 2 and err.startswith("mllc: ") and err.count("\n") == 1, err
    assert re.search(message, err), err
    assert content(tmp_path) == before
