import numpy as np
import pytest
from PIL import Image

from pyg_mllc.data import SPECS


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(8):
        for folder in ("images", "masks", "unlabeled"):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            shape = (20, 30) if folder == "masks" else (20, 30, 3)
            values = rng.integers(0, 2 if folder == "masks" else 256, shape, dtype=np.uint8)
            Image.fromarray(values).save(tmp_path / "set" / folder / f"{number}.png")
    return tmp_path / "set"


def test_a_sound_folder_ends_with_0_and_a_sheet(mllc, root, tmp_path):
    code, out, err = mllc("data", "check", "experiment=folder", f"data.root={root}")
    assert code == 0, err
    assert "nothing that would hurt training" in out and "16 images in" in out
    assert "0 class 0" in out and "20 x 30" in out
    assert "note: no table names the classes" in out
    with Image.open(tmp_path / "outputs/check/folder/sheet.png") as sheet:
        colors = {color for _, color in sheet.convert("RGB").getcolors(10**6)}
    assert len(colors) > 1000  # images, not an empty page
    assert {path.name for path in tmp_path.iterdir()} == {"set", "outputs"}


@pytest.mark.usefixtures("blank_figures")
def test_problems_end_with_1_and_are_all_written_down(mllc, root, tmp_path):
    for number in range(7):
        (root / "unlabeled" / f"{number}.png").write_bytes(b"")
    (root / "images/0.png").replace(root / "unlabeled/9.png")
    (root / "images/0.png").write_bytes((root / "unlabeled/9.png").read_bytes())
    options = ["data.labeled=6", "data.classes=[ground,thing]", "output=found"]
    code, out, _ = mllc("data", "check", "data=folder", f"data.root={root}", *options)
    assert code == 1
    assert "images that cannot be read: 7" in out and "... and 2 more" in out
    assert "8 problems" in out and "0 ground" in out and "1 thing" in out
    lines = (tmp_path / "found/folder/problems.txt").read_text().splitlines()
    assert sum(line.startswith("images that cannot be read: ") for line in lines) == 7
    assert sum("are the same image" in line for line in lines) == 1


def test_a_set_of_which_nothing_can_be_read_gets_no_sheet(mllc, root, tmp_path):
    for path in (*(root / "images").iterdir(), *(root / "unlabeled").iterdir()):
        path.write_bytes(b"no image")
    code, out, _ = mllc("data", "check", "data=folder", f"data.root={root}")
    assert code == 1 and "images that cannot be read: 16" in out and "16 problems" in out
    assert [path.name for path in tmp_path.glob("outputs/check/folder/*")] == ["problems.txt"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["chek"], "'data chek' is not a command; choose one of: data check, data info"),
        (["info", "kitti"], "data.spec=kitti is none of voc"),
        (["check", "data=folder", "data.root=nowhere"], "data.root=nowhere does not exist"),
        (["check", "data=camvid", "data.labels=1"], "There is no such option"),
        (["check", "data=textures", "data.val=1", "method._target_=mine.Typo"], "mllc: method: "),
    ],
)
def test_bad_input_gets_one_sentence(mllc, tmp_path, arguments, message):
    code, _, err = mllc("data", *arguments)
    assert code == 2 and err.startswith("mllc: ") and err.count("\n") == 1 and message in err
    assert not list(tmp_path.iterdir())


def test_the_home_folder_by_its_tilde(mllc, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, _, err = mllc("data", "check", "data=folder", "data.root=~/my photos")
    assert code == 2 and f"data.root={tmp_path}/my photos does not exist" in err, err


def test_info_lists_every_set_and_protocol(mllc):
    code, out, _ = mllc("data", "info")
    assert code == 0 and all(name in out for name in (*SPECS, "voc_animals", "folder", "textures"))
    for spec in SPECS.values():
        assert all(name in out for name in spec.protocols)
    code, out, _ = mllc("data", "info", "cityscapes")
    assert code == 0 and "traffic light" in out and "250 170 30" in out
    code, out, _ = mllc("data", "info", "voc_animals")
    assert code == 0 and "sheep" in out and "sofa" not in out
    assert "check" in mllc("data")[1] and mllc("data", "info", "--help")[0] == 0


@pytest.mark.usefixtures("blank_figures")
def test_the_built_in_textures_pass(mllc):
    small = ["data.labeled=8", "data.unlabeled=2", "data.val=2", "data.size=[32,48]"]
    code, out, _ = mllc("data", "check", *small)
    assert code == 0 and "12 images in" in out


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize(
    "values, table, problem",
    [
        ([0, 255], "sky\nroad\ncar\n", "labels of a single class"),
        ([0, 1], "sky\nroad\ncar\n", "classes without labeled pixels"),
        ([0, 1, 255, 255, 255], "sky\nroad\n", "void that nobody has named"),
        ([0, 85, 170], "sky\nroad\ncar\n", "what such masks may mean"),
    ],
)
def test_labels_that_nobody_means_are_problems(mllc, root, values, table, problem):
    (root / "classes.txt").write_text(table)
    for path in (root / "masks").iterdir():
        mask = np.resize(np.array(values, dtype=np.uint8).repeat(120), (20, 30))
        Image.fromarray(mask).save(path)
    code, out, _ = mllc("data", "check", "data=folder", f"data.root={root}", "method=supervised")
    assert code == 1 and f"{problem}: " in out


@pytest.mark.usefixtures("blank_figures")
def test_files_that_are_not_read_and_masks_without_image_are_problems(mllc, root):
    (root / "images/x.dng").write_bytes(b"x")
    (root / "images/7.png").unlink()
    code, out, _ = mllc("data", "check", "experiment=folder", f"data.root={root}")
    assert code == 1 and "2 problems" in out
    assert "files of formats that are not read: 1" in out
    assert "masks that belong to no image: 1" in out
