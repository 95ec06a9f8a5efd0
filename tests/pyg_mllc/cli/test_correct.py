import csv
import re

import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageFilter

RNG = np.random.default_rng(0)
TINY = ["encoder=test_resnet", "pixels=800", "k=8", "progress=false"]
LOOKS = np.array([[200, 60, 40], [40, 190, 80], [60, 60, 210]])  # of the three classes


@pytest.fixture
def truth(tmp_path):
    """Five scenes of three classes in `photos/`, masks in `masks/`; a third of one is wrong."""
    truth = {}
    for number, name in enumerate(("a", "b (é)", "in/c", "d", "e")):
        mask = np.zeros((36, 48), dtype=np.uint8)
        mask[:, 20 + 3 * number :] = 1
        mask[22:] = 2
        truth[name] = mask.copy()
        photo = LOOKS[mask] + RNG.integers(-15, 15, (36, 48, 3))
        if name == "d":
            mask[24:34, 4:44] = 0  # class 2 in truth
        mask[0] = 255
        for folder, picture in (("photos", photo.astype(np.uint8)), ("masks", mask)):
            file = tmp_path / folder / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(file)
    return truth


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), file)
    return f"weights={file}"


@pytest.fixture
def correct(mllc, weights):
    return lambda *options: mllc("correct", "images=photos", "output=out", weights, *TINY, *options)


def issues(tmp_path):
    with open(tmp_path / "out/issues.csv") as file:
        rows = list(csv.DictReader(file))
    return [[row for row in rows if row["kind"] == kind] for kind in ("image", "region")]


@pytest.mark.parametrize("edge_aware", ["false", "true"])
def test_the_wrong_region_is_found_first_and_mended(correct, truth, tmp_path, edge_aware):
    code, out, err = correct("input=masks", "anchor_share=0.5", f"edge_aware={edge_aware}")
    assert code == 0, err
    images, regions = issues(tmp_path)
    assert images[0]["name"] == "d" and len(images) == 5
    assert float(images[0]["score"]) > 3 * float(images[1]["score"])
    first = regions[0]
    assert (first["name"], first["given"], first["suggested"]) == ("d", "0", "2")
    box = [int(first[side]) for side in ("top", "left", "bottom", "right")]
    assert np.abs(np.subtract(box, (24, 4, 34, 44))).max() <= 3
    assert (
        "d at x=" in out
        and "5 masks examined, " in out
        and re.search(r" [1-5] of them changed, in [0-9.]+% of all labeled pixels: out", out)
    )
    mended = np.asarray(Image.open(tmp_path / "out/labels/d.png"))
    assert (mended == truth["d"])[24:34, 4:44].mean() > 0.9 and (mended[0] == 255).all()
    for name in truth:
        label = np.asarray(Image.open(tmp_path / f"out/labels/{name}.png"))
        assert (label == truth[name])[1:].mean() > 0.9
        for kind in ("changes", "confidence"):
            assert Image.open(tmp_path / f"out/{kind}/{name}.png").size == (48, 36)
    changes = np.asarray(Image.open(tmp_path / "out/changes/d.png"))
    assert (changes[28, 20] == (0, 128, 0)).all()  # the color of class 2
    with open(tmp_path / "out/confusions.csv") as file:
        assert list(csv.reader(file))[1][:2] == ["0", "2"]


def test_a_stopped_run_goes_on_to_the_same_tables(correct, truth, tmp_path, content):
    assert correct("input=masks")[0] == 0
    whole = content(tmp_path / "out")
    (tmp_path / "out/found/d.json").unlink()
    (tmp_path / "out/issues.csv").unlink()
    code, out, _ = correct("input=masks")
    assert code == 0 and "5 masks examined (4 were there already)" in out
    assert content(tmp_path / "out") == whole and "not of this input" not in out
    (tmp_path / "masks/d.png").unlink()
    told = "not of this input, left as it was: out/labels/d.png"
    assert told in correct("input=masks")[1]
    code, _, err = correct("input=masks", "label_confidence=0.7")
    assert code == 2 and "made with label_confidence=null, and now it is 0.7" in err


@pytest.mark.parametrize("end, last", [("npy", False), ("npz", True)])
def test_probabilities_are_labels_too(correct, truth, tmp_path, end, last):
    for name in truth:
        mask = np.asarray(Image.open(tmp_path / f"masks/{name}.png")) % 255
        maps = np.moveaxis(0.1 + 0.7 * np.eye(3)[mask], 2, 0).astype(np.float32)
        file = tmp_path / "maps" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        maps = np.moveaxis(maps, 0, 2) if last else maps
        np.save(f"{file}.npy", maps) if end == "npy" else np.savez(f"{file}.npz", maps)
    code, _, err = correct("input=maps", "classes=[red,green,blue]")
    assert code == 0, err
    images, regions = issues(tmp_path)
    assert images[0]["name"] == "d" and regions[0]["given"] == "red"


def test_results_that_rest_on_changed_files_are_made_anew(correct, truth, tmp_path):
    options = "input=masks/a.png", "anchors=masks/in", "anchor_images=photos/in"
    assert correct(*options)[0] == 0
    there = "(1 were there already)"
    assert there in correct(*options)[1]
    for file in ("masks/in/c.png", "photos/a.png"):
        before = (tmp_path / "out/found/a.json").read_bytes()
        turned = Image.open(tmp_path / file).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        turned.save(tmp_path / file)
        assert there not in correct(*options)[1]
        assert (tmp_path / "out/found/a.json").read_bytes() != before
        assert there in correct(*options)[1]


def test_results_that_rest_on_a_changed_table_are_made_anew(correct, truth, tmp_path):
    options, there = ("input=masks/a.png", "classes=classes.csv"), "(1 were there already)"
    (tmp_path / "classes.csv").write_text("0,sky\n1,road\n2,car\n")
    assert correct(*options)[0] == 0 and there in correct(*options)[1]
    (tmp_path / "classes.csv").write_text("2,sky\n1,road\n0,car\n")
    assert there not in correct(*options)[1]
    label = np.asarray(Image.open(tmp_path / "out/labels/a.png"))
    assert (label == truth["a"]).mean() > 0.9  # the numbers are those of the table


def test_one_value_stands_for_a_list_and_null_for_an_empty_one(correct, truth):
    assert correct("input=masks", "void=0", "classes=3")[0] == 0
    code, _, err = correct("input=masks", "void=null", "classes=3")
    assert code == 2 and "made with void=[0], and now it is []" in err


def test_trusted_masks_and_none(correct, truth, tmp_path):
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    for name in ("a", "e"):
        Image.fromarray(truth[name]).save(trusted / f"{name}.png")
    assert correct("input=masks/d.png", "anchors=trusted", "anchor_share=0.5")[0] == 0
    assert issues(tmp_path)[1][0]["suggested"] == "2"
    assert correct("input=masks/d.png", "output=alone", "anchors=null")[0] == 0
    evidence = ["input=masks/d.png", "anchors=trusted", "anchor_rule=bayes"]
    assert correct(*evidence, "output=evidence")[0] == 0
    assert correct(*evidence, "output=same", "anchor_share=1")[0] == 0
    assert correct(*evidence[:2], "output=densities", "anchor_rule=gaussians")[0] == 0
    outputs = "evidence", "same", "densities"
    mended = [np.asarray(Image.open(tmp_path / f"{o}/labels/d.png")) for o in outputs]
    assert (mended[0] == mended[1]).all()
    assert all((labels == truth["d"]).mean() > 0.95 for labels in mended)
    code, _, err = correct(*evidence[:2], "output=bad", "anchor_rule=median")
    assert code == 2 and "anchor_rule to be mean, bayes or gaussians, got median" in err
    assert correct("input=masks/d.png", "output=single")[0] == 0  # there is no other mask


def test_a_checkpoint_looks_at_the_images_and_names_the_classes(
    correct, truth, tmp_path, checkpoint_file
):
    code, _, err = correct("input=masks", f"checkpoint={checkpoint_file}")
    assert code == 0, err
    assert {row["given"] for row in issues(tmp_path)[1]} <= {"sky", "road", "car"}
    palette = Image.open(tmp_path / "out/labels/a.png").getpalette()
    assert palette[:9] == [0, 0, 9, 9, 0, 0, 0, 9, 0]


def test_the_palette_of_masks_is_kept(correct, truth, tmp_path):
    for file in (tmp_path / "masks").rglob("*.png"):
        mask = Image.open(file)
        mask.putpalette([*range(1, 10), *[0] * 759])
        mask.save(file)
    assert correct("input=masks")[0] == 0
    assert Image.open(tmp_path / "out/labels/a.png").getpalette()[:9] == list(range(1, 10))


class Payload:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(
    "options, message",
    [
        (["input=masks", "void=[2]", "classes=1"], "expected 2 classes or more"),
        (["input=masks", "classes=2"], "holds the ids 2, but the classes of the input are 0 to 1"),
        (
            ["input=masks", "label_confidence=1"],
            "label_confidence between chance, 1 / classes, and 1",
        ),
        (["input=masks", "label_confidence=high"], "label_confidence=high is not a number"),
        (["input=masks", "void=[none]"], "void=none is not a whole number"),
        (["input=masks", "k=0"], "the corrector cannot be made so"),
        (["input=masks", "anchors=3"], "anchors=3 does not exist"),
        (["input=2026_01_31"], "input=2026_01_31 does not exist"),
        (["input=masks", "anchors=nowhere"], "anchors=nowhere does not exist"),
        (["input=masks", "images=photos/in"], "photos/in has no image for masks/a.png .5 of 5"),
        (["input=photos"], "has colors where a mask has class ids"),
        (["input=pickled.npy", "classes=3"], "pickled.npy is no array of numbers"),
        (["input=cut.npz", "classes=3"], "cut.npz is no array of numbers"),
        (["input=ints.npy", "classes=3"], r"ints.npy has an array \(3, 36, 48\) of int64"),
        (["input=floats.npy"], r"floats.npy has an array \(36, 48\) of float32; give prob"),
        (["input=flat.npy"], r"flat.npy has an array \(36,\) of int64; give probabilities"),
        (["input=sums.npy", "classes=3"], "which sum to 1"),
        (["input=small.npy", "classes=3"], r"of an image of \(36, 48\), got \(3, 9, 9\)"),
        (["input=masks", "encoder=resnet5"], "encoder=resnet5 is not a model of timm"),
        (["input=masks", "classes=road"], "classes=road is no number, no list of names"),
        (["images=photos"], "input=... is not given; mllc correct --help shows an example"),
    ],
)
def test_bad_input_gets_one_sentence(correct, truth, tmp_path, options, message, content):
    for name in ("pickled", "cut", "ints", "floats", "flat", "sums", "small"):
        Image.fromarray(np.zeros((36, 48, 3), np.uint8)).save(tmp_path / f"photos/{name}.png")
    np.save(tmp_path / "pickled.npy", np.array([Payload()]), allow_pickle=True)
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and no more")
    np.save(tmp_path / "ints.npy", np.zeros((3, 36, 48), np.int64))
    np.save(tmp_path / "floats.npy", np.zeros((36, 48), np.float32))
    np.save(tmp_path / "flat.npy", np.zeros(36, np.int64))
    np.save(tmp_path / "sums.npy", np.ones((3, 36, 48), np.float32))
    np.save(tmp_path / "small.npy", np.full((3, 9, 9), 1 / 3, np.float32))
    before = content(tmp_path)
    code, out, err = correct(*options)
    *others, last = err.splitlines()
    assert code == 2 and last.startswith("mllc: "), err
    assert all(line.startswith("left out: ") for line in others), err
    assert re.search(message, last), err
    assert "ran" not in out
    after = content(tmp_path)
    assert all(after[file] == was for file, was in before.items())


def test_output_never_overwrites_input(correct, truth, tmp_path, content):
    (tmp_path / "masks").rename(tmp_path / "labels")
    before = content(tmp_path)
    code, _, err = correct("input=labels", "output=.")
    assert code == 2 and "labels/a.png is an input and would be overwritten" in err
    assert content(tmp_path) == before


def test_wrong_masks_of_real_images_rank_first(mllc, real_data, tmp_path):
    names = sorted(f.stem for f in (real_data / "camvid/val").iterdir())[::30]
    for name in names:
        mask = np.array(Image.open(real_data / f"camvid/valannot/{name}.png").resize((160, 120), 0))
        if name == names[1]:
            mask[40:80, 60:110] = 9  # pedestrians there are none
        photo = Image.open(next((real_data / "camvid/val").glob(f"{name}.*"))).resize((160, 120))
        for folder, picture in (("photos", photo), ("masks", Image.fromarray(mask))):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture.save(tmp_path / folder / f"{name}.png")
    options = ["input=masks", "images=photos", "output=out", "void=[11]", "pixels=3000"]
    code, _, err = mllc("correct", *options, "progress=false")
    assert code == 0, err
    images, regions = issues(tmp_path)
    assert images[0]["name"] == names[1]
    found = next(row for row in regions if int(row["pixels"]) > 300)
    assert found["name"] == names[1] and found["given"] == "9"
    assert int(found["pixels"]) > 1500  # of 2000


def test_a_table_tells_names_ids_and_colors(correct, truth, tmp_path):
    table = "id,name,r,g,b\n7,sky,9,0,0\n8,road,0,9,0\n9,car,0,0,9\n255,void,0,0,0\n"
    (tmp_path / "classes.csv").write_text(table)
    colors = np.zeros((256, 3), dtype=np.uint8)
    colors[:3] = 9 * np.eye(3)
    ids = np.arange(256, dtype=np.uint8)
    ids[:3] = 7, 8, 9
    found = []
    for kind, values in (("ids", ids), ("colors", colors)):
        for file in sorted((tmp_path / "masks").rglob("*.png")):
            copy = tmp_path / kind / file.relative_to(tmp_path / "masks")
            copy.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values[np.asarray(Image.open(file))]).save(copy)
        options = f"input={kind}", "classes=classes.csv", f"output=of_{kind}"
        code, _, err = correct(*options)
        assert code == 0, err
        found.append(np.asarray(Image.open(tmp_path / f"of_{kind}/labels/a.png")))
    assert (found[0] == found[1]).all() and (found[0][1:] == ids[truth["a"][1:]]).mean() > 0.9
    shown = np.asarray(Image.open(tmp_path / "of_ids/labels/a.png").convert("RGB"))
    assert (shown[found[0] == 8] == (0, 9, 0)).all()
    assert "8,road,0,9,0" in (tmp_path / "of_ids/classes.csv").read_text()
    again = "input=of_ids/labels", "classes=classes.csv", "output=again"
    assert correct(*again)[0] == 0  # what comes out is read as what went in
    assert set(np.unique(Image.open(tmp_path / "again/labels/a.png"))) <= {7, 8, 9, 255}
    with open(tmp_path / "of_colors/issues.csv") as file:
        assert {row["given"] for row in csv.DictReader(file)} <= {"sky", "road", "car", ""}


def test_masks_and_images_that_cannot_be_used_are_left_out_and_told(correct, truth, tmp_path):
    for file in ("masks/a.png", "photos/e.png"):
        (tmp_path / file).write_bytes(b"no picture")
    Image.new("L", (3, 3)).save(tmp_path / "masks/b (é).png")
    code, out, err = correct("input=masks")
    assert code == 2 and err.count("left out: ") == err.count("\n") == 3
    assert "3 masks were left out: masks/a.png cannot be read" in err
    assert "2 masks examined, " in out and "(" not in out.split("masks examined")[1].split(",")[0]
    assert {f.stem for f in (tmp_path / "out/labels").rglob("*.png")} == {"c", "d"}
    assert issues(tmp_path)[0][0]["name"] == "d"


def test_a_picture_among_the_masks_is_named(correct, truth, tmp_path):
    wide = np.full((32, 48), 64_250, dtype=np.uint16)
    Image.fromarray(wide).save(tmp_path / "masks/d.png")
    code, _, err = correct("input=masks")
    assert code == 2 and "64250, as in masks/d.png, is none of 0 to 254: take the file out" in err
    assert not (tmp_path / "out").exists()


def test_masks_of_other_formats_are_named_and_the_others_corrected(correct, truth, tmp_path):
    for name in ("x.jpg", "y.dng"):
        (tmp_path / "masks" / name).write_bytes(b"x")
    Image.new("RGB", (48, 36)).save(tmp_path / "photos/more.png")
    code, out, err = correct("input=masks")
    assert code == 1 and "5 masks examined" in out
    assert "2 files are passed over" in err and "x.jpg" in err and "y.dng" in err
    assert "1 of the images have no mask in input, such as photos/more.png" in out


def test_black_and_white_masks_of_two_classes_are_corrected(correct, truth, tmp_path, caplog):
    for file in (tmp_path / "masks").rglob("*.png"):
        mask = np.asarray(Image.open(file))
        Image.fromarray(np.where(mask == 2, 255, 0).astype(np.uint8)).save(file)
    code, _, err = correct("input=masks")
    assert (
        code == 2
        and "give classes=<table>, lines of id,name, such as '0,background' and '255,object'" in err
    )
    code, _, err = correct("input=masks", "classes=[background,object]")
    assert code == 0 and "255 is read as 'object'" in caplog.text, err
    label = np.asarray(Image.open(tmp_path / "out/labels/a.png"))
    assert ((truth["a"] == 2) == (label == 255)).mean() > 0.9 and set(np.unique(label)) == {0, 255}


def test_blurred_masks_are_refused_at_once(correct, truth, tmp_path):
    for file in (tmp_path / "masks").rglob("*.png"):
        mask = Image.fromarray((np.asarray(Image.open(file)) == 2).astype(np.uint8) * 200)
        mask.filter(ImageFilter.GaussianBlur(0.7)).save(file)
    code, _, err = correct("input=masks")
    assert code == 2 and "lie only along outlines" in err
    assert not (tmp_path / "out").exists()


def test_classes_that_no_mask_has_are_told(correct, truth):
    code, out, _ = correct("input=masks", "classes=[sky,road,car,bird]")
    assert code == 0 and "note: the masks (5 of 5 read) have no pixel of 'bird'" in out


def test_masks_of_photos_that_exif_turns(correct, truth, tmp_path, caplog):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "ad":
        for folder in ("photos", "masks"):
            upright = Image.open(tmp_path / folder / f"{name}.png")
            for kind in ("upright", "stored", "arrays"):
                file = tmp_path / kind / folder / f"{name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                turned = upright.transpose(Image.Transpose.ROTATE_90)
                picture = upright if kind == "upright" else turned
                if kind == "arrays" and folder == "masks":
                    np.save(file.with_suffix(".npy"), np.asarray(picture))
                else:
                    picture.save(
                        file, exif=exif if picture is turned and folder == "photos" else None
                    )
    labels = {}
    for kind in ("upright", "stored", "arrays"):
        given = f"input={kind}/masks", f"images={kind}/photos", f"output=of_{kind}", "rounds=1"
        code, _, err = correct(*given, "classes=3")
        assert code == 0, err
        assert ("fit their stored pixels" in caplog.text) == (kind != "upright")
        labels[kind] = [
            np.asarray(Image.open(tmp_path / f"of_{kind}/labels/{n}.png")) for n in "ad"
        ]
        assert all(map(np.array_equal, labels[kind], labels["upright"]))
    Image.open(tmp_path / "masks/a.png").save(tmp_path / "stored/masks/a.png")
    code, _, err = correct("input=stored/masks", "images=stored/photos", "classes=3")
    assert code == 2 and "draw all masks on either, or give exif=turn or exif=stored" in err


def test_masks_whose_palettes_contradict_each_other(correct, truth, tmp_path):
    for order in ([0, 1, 2], [2, 0, 1]):
        for file in sorted((tmp_path / "masks").rglob("*.png"))[order[0] :: 3]:
            ids = np.asarray(Image.open(file)).copy()
            known = ids < 3
            ids[known] = np.argsort(order)[ids[known]]
            mask = Image.fromarray(ids).convert("P")
            mask.putpalette(np.uint8([(9, 9, 9), (200, 0, 0), (0, 0, 200)])[order].tobytes())
            mask.save(file)
    code, _, err = correct("input=masks")
    assert code == 2 and "so that ids do not say which class is meant" in err
