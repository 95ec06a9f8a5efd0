import csv

import numpy as np
import pytest
import torch
from PIL import Image

import pyg_mllc
from pyg_mllc.data import CAMVID
from pyg_mllc.data.image_io import as_tensor
from pyg_mllc.inference.checkpoint import build_method, describe, save_checkpoint


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    """CamVid's layout with three images of two sizes, void in their masks, and a network for it."""
    root, rng = tmp_path_factory.mktemp("cam vid é"), np.random.default_rng(0)
    for split in ("train", "val"):
        for i, size in enumerate([(32, 48), (40, 40), (32, 48)]):
            image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            mask = rng.integers(0, 12, size, dtype=np.uint8)
            for kind, array in (("", image), ("annot", mask)):
                (root / f"{split}{kind}").mkdir(exist_ok=True)
                Image.fromarray(array).save(root / f"{split}{kind}" / f"{i}.png")
    torch.manual_seed(0)
    description = describe(
        CAMVID.classes, CAMVID.colors, (32, 48),
        model={"encoder": "test_resnet", "feature_dim": 8, "width": 16},
        corrector={"k": 4}, method={"_target_": "pyg_mllc.methods.MLLC", "warmup": 0.0},
    )  # fmt: skip
    save_checkpoint(root / "a.ckpt", build_method(description), description)
    return root


@pytest.fixture
def evaluate(mllc, camvid):
    options = ("evaluate", f"checkpoint={camvid / 'a.ckpt'}", "progress=false", "output=out é")
    return lambda *more: mllc(
        *options, "data=camvid", f"data.root={camvid}", "data.labeled=2", *more
    )


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_figures_are_those_of_the_labels_that_predict_gives(evaluate, camvid, tmp_path):
    code, out, err = evaluate()
    assert code == 0, err
    assert "after correction" in out and "evaluation: out é/evaluation.html" in out
    images = rows(tmp_path / "out é/images.csv")
    predictor = pyg_mllc.load(camvid / "a.ckpt")
    right, known = 0, 0
    for i, row in enumerate(images):
        found = predictor.predict(as_tensor(camvid / f"val/{i}.png"), correct=True)
        truth = torch.from_numpy(np.array(Image.open(camvid / f"valannot/{i}.png"))).long()
        judged = truth < 11
        hit = (found.after.argmax(0) == truth)[judged]
        assert row["image"] == str(i)
        assert float(row["accuracy_after"]) == pytest.approx(hit.float().mean().item(), abs=1e-4)
        right, known = right + int(hit.sum()), known + len(hit)
    before, after = rows(tmp_path / "out é/measures.csv")
    assert before["labels"] == "before correction"
    assert float(after["pixel_accuracy"]) == pytest.approx(right / known, abs=1e-6)
    written = {file.name for file in (tmp_path / "out é").iterdir()}
    assert written == {
        "evaluation.html", "measures.csv", "classes.csv", "images.csv", "reliability.png",
        *(f"confusion_{stage}_correction{end}" for stage in ("before", "after")
          for end in (".csv", ".png")),
    }  # fmt: skip
    assert not list(tmp_path.glob("*.log")) and not (tmp_path / ".hydra").exists()


@pytest.mark.usefixtures("blank_figures")
def test_options(evaluate, tmp_path):
    code, _, err = evaluate(
        "correct=false", "split=labeled", "network=teacher", "flip=true", "scales=[0.5,1]",
        "window=[16,24]", "gallery=1",
    )  # fmt: skip
    assert code == 0, err
    (only,) = rows(tmp_path / "out é/measures.csv")
    assert only["labels"] == "labels"
    assert len(rows(tmp_path / "out é/images.csv")) == 2
    assert "2 images of labeled" in (tmp_path / "out é/evaluation.html").read_text()


@pytest.mark.parametrize(
    "options, message",
    [
        (["split=train"], "split=train is none of val, labeled"),
        (["data=voc"], "knows 11 classes and voc has 21; class 0 is sky there and background here"),
        (["data.root=nowhere"], "data.root=nowhere does not exist"),
        (["scales=[]"], "scales"),
        (["checkpoint=no.ckpt"], "no.ckpt is no file"),
        (["gallery=0"], "gallery=0 must be"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(evaluate, options, message, tmp_path, real):
    if options == ["data=voc"]:
        options = ["data=voc", f"data.root={real}"]
    code, _, err = evaluate(*options)
    assert code == 2 and err.startswith("mllc: ") and err.count("\n") == 1 and message in err, err
    assert not (tmp_path / "out é").exists()


@pytest.fixture
def real(tmp_path):
    """VOC's layout with one image."""
    root = tmp_path / "voc"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for split in ("train", "val"):
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("a\nb\n")
    for name in "ab":
        Image.new("RGB", (8, 8)).save(root / f"JPEGImages/{name}.jpg")
        Image.new("L", (8, 8)).save(root / f"SegmentationClass/{name}.png")
    return root


def test_data_is_asked_for(mllc, camvid):
    code, _, err = mllc("evaluate", f"checkpoint={camvid / 'a.ckpt'}")
    assert code == 2 and "data is not given: pass data=camvid data.root=path/to/camvid" in err


@pytest.mark.usefixtures("blank_figures")
def test_images_that_taught_the_network_are_told(mllc, evaluate, camvid, tmp_path):
    run = tmp_path / "run"
    (run / "mllc").mkdir(parents=True)
    (run / "mllc/a.ckpt").write_bytes((camvid / "a.ckpt").read_bytes())
    (run / "partition").mkdir()
    (run / "partition/labeled.txt").write_text("val/1.png valannot/1.png\ntrain/0.png\n")
    (run / "run.yaml").write_text(f"data: {{root: '{camvid}'}}", encoding="utf-8")
    code, _, err = evaluate(f"checkpoint={run / 'mllc/a.ckpt'}")
    assert code == 0
    assert "warning: " in err and "1 of 3 images, " in err and "val/1.png among them, taught" in err
    assert "data.partition=run/partition" in err
    for told in ("data: {root: null}", None):  # paths of one's own; lists without their run
        (run / "run.yaml").unlink()
        if told:
            (run / "run.yaml").write_text(told)
        code, _, err = evaluate(f"checkpoint={run / 'mllc/a.ckpt'}")
        assert code == 0, err
    (run / "run.yaml").write_text(f"data: {{root: '{camvid}'}}", encoding="utf-8")
    assert "taught" not in evaluate(f"checkpoint={run / 'mllc/a.ckpt'}", "split=labeled")[2]


@pytest.mark.usefixtures("blank_figures")
def test_where_nothing_corrects_there_is_one_row(evaluate, camvid, tmp_path):
    description = describe(
        CAMVID.classes, CAMVID.colors, (32, 48),
        model={"encoder": "test_resnet", "feature_dim": 8, "width": 16},
        corrector={"k": 4}, method={"_target_": "pyg_mllc.methods.Supervised"},
    )  # fmt: skip
    save_checkpoint(tmp_path / "b.ckpt", build_method(description), description)
    code, out, err = evaluate(f"checkpoint={tmp_path / 'b.ckpt'}")
    assert code == 0, err
    assert "after correction" not in out
    assert [row["labels"] for row in rows(tmp_path / "out é/measures.csv")] == ["labels"]


def test_a_table_of_a_data_set_stays(evaluate, tmp_path):
    (tmp_path / "out é").mkdir()
    (tmp_path / "out é/classes.csv").write_text("road\ncar\n")
    code, _, err = evaluate()
    assert code == 2 and "output=out é has a classes.csv that is none of these results" in err
    assert [file.name for file in (tmp_path / "out é").iterdir()] == ["classes.csv"]


@pytest.mark.usefixtures("blank_figures")
def test_a_second_evaluation_takes_the_place_of_the_first(evaluate, tmp_path):
    assert evaluate()[0] == evaluate("correct=false")[0] == 0
    left = {file.name for file in (tmp_path / "out é").iterdir()}
    assert left == {
        "classes.csv", "confusion_labels.csv", "confusion_labels.png", "evaluation.html",
        "images.csv", "measures.csv", "reliability.png",
    }  # fmt: skip
