import csv
import os
import re
import resource
import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image

import pyg_mllc
from pyg_mllc.inference.checkpoint import build_method, describe, save_checkpoint

NAMES = ["a", "é (1), it's=b", "in/c.d"]


@pytest.fixture
def predict(mllc, checkpoint_file):
    def run(*options):
        return mllc("predict", f"checkpoint={checkpoint_file}", "progress=false", *options)

    return run


def test_every_image_gets_its_label_overlay_and_confidence(
    predict, photos, tmp_path, checkpoint_file
):
    code, out, err = predict("input=my photos", "output=out é")
    assert code == 0, err
    assert "3 images labeled: out é" in out and sorted(tmp_path.iterdir()) == [
        tmp_path / "my photos", tmp_path / "out é",
    ]  # fmt: skip
    predictor = pyg_mllc.load(checkpoint_file)
    for name in NAMES:
        expected = predictor.predict(photos / f"{name}.png")
        label = Image.open(tmp_path / "out é/labels" / f"{name}.png")
        assert label.mode == "P" and label.getpalette()[:9] == [0, 0, 9, 9, 0, 0, 0, 9, 0]
        ids, height_width = np.asarray(label), expected.label.shape
        assert ids.shape == height_width
        assert (torch.from_numpy(ids.astype(int)) == expected.label).float().mean() > 0.98
        confidence = np.asarray(Image.open(tmp_path / "out é/confidence" / f"{name}.png")) / 255
        assert np.abs(confidence - expected.confidence.numpy()).mean() < 0.01
        overlay = Image.open(tmp_path / "out é/overlays" / f"{name}.jpg")
        assert overlay.mode == "RGB" and overlay.size == label.size
    with open(tmp_path / "out é/classes.csv") as file:
        assert list(csv.reader(file))[1:][2] == ["2", "car", "0", "9", "0"]


def test_a_stopped_run_goes_on_and_finished_images_stay(predict, photos, tmp_path, content):
    assert predict("input=my photos", "output=out")[0] == 0
    whole = content(tmp_path / "out")
    (tmp_path / "out/labels/a.png").unlink()
    (tmp_path / "out/labels/in/c.d.png").write_bytes(b"looked at by someone")
    code, out, _ = predict("input=my photos", "output=out")
    assert code == 0 and "1 images labeled, 2 were there already" in out
    again = content(tmp_path / "out")
    assert again.pop(tmp_path / "out/labels/in/c.d.png") == b"looked at by someone"
    assert set(again) < set(whole)
    finished = {f: c for f, c in again.items() if f.stem != "a"}
    assert finished.items() <= whole.items() and len(finished) == len(whole) - 4
    code, _, err = predict("input=my photos", "output=out", "flip=true")
    assert code == 2 and "output=out holds results made with flip=false, and now it is true" in err


@pytest.mark.parametrize(
    "given, found", [("my photos/a.png", 1), ("my photos/*.png", 2), ("my photos/**/*.png", 3)]
)
def test_files_and_globs(predict, photos, given, found):
    code, out, err = predict(f"input={given}", "output=out", "save=[labels]", "scales=[0.5,1]")
    assert code == 0, err
    assert f"{found} images labeled" in out


def test_folders_may_be_called_like_numbers(predict, photos, tmp_path):
    assert predict("input=my photos", "output=2026_01_31", "save=labels")[0] == 0
    assert {path.name for path in (tmp_path / "2026_01_31").iterdir()} >= {"labels", "classes.csv"}
    (tmp_path / "2026_01_31/labels/a.png").rename(tmp_path / "7.png")
    assert predict("input=7.png", "output=true")[0] == 0
    assert (tmp_path / "true/labels/7.png").is_file()


def test_results_inside_the_input_are_no_input(predict, photos):
    assert predict("input=my photos", "output=my photos/labeled")[0] == 0
    code, out, _ = predict("input=my photos", "output=my photos/labeled")
    assert code == 0 and "0 images labeled, 3 were there already" in out
    for _ in range(2):
        code, out, _ = predict("input=my photos/in", "output=my photos/in")
    assert code == 0 and "0 images labeled, 1 were there already" in out


def test_an_unreadable_image_is_named_and_the_others_are_labeled(predict, photos, tmp_path):
    (photos / "broken.png").write_bytes(b"no image")
    whole = (photos / "a.png").read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    code, _, err = predict("input=my photos", "output=out")
    assert code == 2 and re.search(
        "2 of 5 images were left out: my photos/broken.png cannot be read", err
    )
    assert len(list((tmp_path / "out/labels").rglob("*.png"))) == 3


def test_all_that_was_left_out_is_named(predict, photos):
    for name in ("broken", "cut"):
        (photos / f"{name}.png").write_bytes(b"no picture")
    _, _, err = predict("input=my photos", "output=out")
    first, last = err.splitlines()
    assert first.startswith("left out: my photos/cut.png cannot be read")
    assert "2 of 5 images were left out: my photos/broken.png cannot be read" in last


def test_a_call_that_was_refused_binds_no_later_one(predict, photos, tmp_path):
    assert predict("input=my photos", "output=out", "scales=[0]")[0] == 2
    code, out, err = predict("input=my photos", "output=out", "scales=0.5", "save=[labels]")
    assert code == 0 and "3 images labeled" in out, err
    for save in ("labels", "confidence"):
        code, _, err = predict("input=my photos", "output=out", "scales=1", f"save=[{save}]")
        assert code == 2 and "holds results made with scales=[0.5]" in err


def test_results_of_earlier_calls_are_no_input(predict, photos):
    assert predict("input=my photos", "output=my photos/first")[0] == 0
    assert "3 images labeled" in predict("input=my photos", "output=second")[1]
    assert predict("input=my photos", "output=my photos")[0] == 0
    assert "0 images labeled, 3 were" in predict("input=my photos/**/*.*g", "output=second")[1]


def test_output_never_overwrites_input(predict, photos, tmp_path, content):
    shutil.move(photos, tmp_path / "labels")
    before = content(tmp_path)
    for given in ("labels", "labels/a.png", "labels/*.png"):
        code, _, err = predict(f"input={given}", "output=.")
        assert code == 2 and "labels/a.png is an input and would be overwritten" in err
        assert content(tmp_path) == before


def test_a_full_disk_leaves_nothing_half_written(predict, photos, tmp_path):
    assert predict("input=my photos/a.png", "output=out", "save=[labels]")[0] == 0
    before = (tmp_path / "out/labels/a.png").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, limits[1]))  # bytes that a file may have
    try:
        code, _, err = predict("input=my photos", "output=out", "save=[labels]")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2 and err.count("\n") == 1
    assert re.search(r"out/labels/.*png: File too large; check this path and the space there", err)
    assert (tmp_path / "out/labels/a.png").read_bytes() == before
    assert not list(tmp_path.rglob("*.part"))
    assert predict("input=my photos", "output=out", "save=[labels]")[0] == 0


@pytest.mark.parametrize(
    "options, message",
    [
        (["input=nowhere", "output=out"], "input=nowhere does not exist$"),
        (
            ["input=*.nothing", "output=out"],
            r"nothing matches no file ending in .jpg, .png, .tif or ",
        ),
        (["input=my photos", "output=my photos/a.png"], "a.png is a file; give a folder"),
        (["input=my photos", "output=my photos/a.png/x"], "a.png/x.*: Not a directory; check"),
        (["input=my photos", "output=/proc/x"], "/proc/x.*: No such file"),
        (["input=my photos", "output=out", "save=[masks]"], "save to list some of labels, over"),
        (["input=my photos", "output=out", "save=null"], "save to list some of labels, over"),
        (["input=my photos", "output=out", "batch_size=0"], "batch_size of 1 or more"),
        (["input=my photos", "output=out", "batch_size=all"], "batch_size=all is not a whole numb"),
        (["input=my photos", "output=out", "flip=2"], "flip=2 is not true or false"),
        (["input=my photos", "output=out", "scales=[0]"], r"expected scales above 0.*scales=\[0\]"),
        (["input=my photos", "output=out", "network=ema"], "student or teacher, got 'ema'"),
        (["input=my photos", "output=out", "device=abacus"], "device=abacus cannot be used: Exp"),
        (["output=out"], "input=... is not given; mllc predict --help shows an example"),
        (["input=my photos", "output=out", "flop=true"], "flop.*There is no such option"),
    ],
)
def test_bad_input_gets_one_sentence(predict, photos, options, message, content, tmp_path):
    before = content(tmp_path)
    code, _, err = predict(*options)
    assert code == 2 and err.startswith("mllc: ") and err.count("\n") == 1, err
    assert re.search(message, err), err
    left = content(tmp_path)
    assert all(left[file] == was for file, was in before.items())
    assert not list(tmp_path.rglob("*.png.part"))


def test_files_that_differ_by_their_suffix_are_refused(predict, photos):
    Image.open(photos / "a.png").save(photos / "a.jpg")
    code, _, err = predict("input=my photos", "output=out")
    assert code == 2 and "a.png and my photos/a.jpg differ by their suffix only" in err


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04 cut"])
def test_a_damaged_checkpoint_gets_one_sentence(mllc, photos, tmp_path, content):
    (tmp_path / "bad.ckpt").write_bytes(content)
    code, _, err = mllc("predict", "checkpoint=bad.ckpt", "input=my photos", "output=out")
    assert (
        code == 2 and err.count("\n") == 1 and "bad.ckpt is not loaded: it is no checkpoint" in err
    )
    assert not (tmp_path / "out").exists()


def test_changed_images_are_labeled_anew_and_others_of_their_names_refused(predict, photos):
    assert "3 images labeled" in predict("input=my photos", "output=out")[1]
    os.utime(photos / "a.png", (time.time() + 60,) * 2)
    out = predict("input=my photos", "output=out")[1]
    assert "1 images labeled, 2 were there already" in out and "not of this input" not in out
    (photos / "in/c.d.png").unlink()
    told = "not of this input, left as it was: out/labels/in/c.d.png"
    assert told in predict("input=my photos", "output=out")[1]
    shutil.copytree(photos, photos.parent / "others")
    code, _, err = predict("input=others", "output=out")
    assert code == 2 and "holds results made with input=" in err


@pytest.mark.parametrize("name", ["classes.csv", "classes.txt"])
def test_a_table_of_classes_that_was_there_stays_the_only_one(predict, photos, name):
    (photos / name).write_text("road\n")
    code, _, err = predict("input=my photos", "output=my photos")
    assert code == 2 and f"has a {name} that is none of these results" in err
    assert [path.read_text() for path in photos.glob("classes.*")] == ["road\n"]


def test_a_link_to_nothing_is_left_out_and_told(predict, photos):
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    code, out, err = predict("input=my photos", "output=out")
    assert code == 2 and "3 images labeled" in out
    assert "1 of 4 images were left out: my photos/gone.png" in err and err.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_an_output_that_cannot_be_written_to_is_refused_at_once(predict, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = predict("input=my photos", "output=locked/out")
    assert code == 2 and "output=locked/out cannot be written to; give another folder" in err


def test_a_network_that_was_trained_without_correction_says_so(mllc, photos, tmp_path):
    description = describe(
        ["a", "b"], [(0, 0, 0), (9, 0, 0)], (32, 48), corrector={},
        model={"encoder": "test_resnet", "feature_dim": 8, "width": 16},
        method={"_target_": "pyg_mllc.methods.Supervised"},
    )  # fmt: skip
    save_checkpoint(tmp_path / "plain.ckpt", build_method(description), description)
    given = "checkpoint=plain.ckpt", "input=my photos", "progress=false"
    export = "export", "checkpoint=plain.ckpt", "output=out/x.pt2"
    for command in (("predict", *given, "output=out"), export):
        code, _, err = mllc(*command, "correct=true")
        assert code and "trained without correction" in err and len(err.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()
    assert mllc("predict", *given, "output=out")[0] == 0


def test_an_older_file_in_the_place_of_another_is_labeled(predict, photos):
    assert "3 images labeled" in predict("input=my photos", "output=out")[1]
    Image.new("RGB", (50, 40)).save(photos.parent / "older.png")
    os.utime(photos.parent / "older.png", (1, 1))
    os.replace(photos.parent / "older.png", photos / "a.png")
    assert "1 images labeled, 2 were there already" in predict("input=my photos", "output=out")[1]
    with Image.open(photos.parent / "out/labels/a.png") as label:
        assert label.size == (50, 40)


def test_inputs_are_those_that_training_finds(predict, photos, tmp_path):
    (photos / ".hidden").mkdir()
    shutil.copy(photos / "a.png", photos / ".hidden/h.png")
    (tmp_path / "real").mkdir()
    shutil.copy(photos / "a.png", tmp_path / "real/x.png")
    (photos / "more").symlink_to(tmp_path / "real")
    (photos / "more/loop").symlink_to(photos)
    assert "4 images labeled" in predict("input=my photos", "output=out")[1]
    assert (tmp_path / "out/labels/more/x.png").is_file()


@pytest.mark.parametrize("name", ["[1] photos", "a, b", '"x" photos', "{x}"])
def test_folders_that_look_like_lists_are_folders(predict, photos, tmp_path, name):
    (tmp_path / name).mkdir()
    shutil.copy(photos / "a.png", tmp_path / name / "a.png")
    assert "1 images labeled" in predict(f"input={name}", "output=out")[1]


def test_results_that_are_named_themselves_are_inputs(predict, photos):
    predict("input=my photos", "output=out")
    assert "3 images labeled" in predict("input=out/labels", "output=again")[1]


def test_files_that_are_not_read_are_named_and_the_others_are_labeled(predict, photos, tmp_path):
    for name in ("x.dng", "y.npy", "z.txt"):
        (photos / name).write_bytes(b"x")
    code, out, err = predict("input=my photos", "output=out")
    assert code == 1 and "3 images labeled" in out
    assert err.startswith("mllc: 2 files are passed over") and err.count("\n") == 1
    assert "x.dng" in err and "y.npy" in err and "z.txt" not in err
    assert len(list((tmp_path / "out/labels").rglob("*.png"))) == 3
    (photos / "broken.png").write_bytes(b"")
    code, _, err = predict("input=my photos", "output=out")
    assert code == 2 and "x.dng" in err and "1 of 4 images were left out" in err
