import json
import re

import pytest
import torch

import pyg_mllc
from pyg_mllc.inference.checkpoint import build_method, describe, save_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network whose correction takes one round, which is traced sooner than two."""
    return saved(tmp_path_factory.mktemp("saved") / "a.ckpt", rounds=1)


def saved(path, **corrector):
    torch.manual_seed(0)
    description = describe(
        ["sky", "road", "car"], [(0, 0, 9), (9, 0, 0), (0, 9, 0)], (64, 96),
        model={"encoder": "test_resnet", "feature_dim": 8, "width": 16, "feature_stride": 16},
        corrector={"k": 4, **corrector}, method={"_target_": "pyg_mllc.methods.MLLC"},
    )  # fmt: skip
    method = build_method(description)
    for weight in method.student.corrector.parameters():  # as trained ones, far from the identity
        torch.nn.init.normal_(weight, std=0.3)
    method.update()
    save_checkpoint(path, method, description)
    return path


def test_torch_export_computes_what_the_predictor_does(mllc, checkpoint, tmp_path):
    code, out, err = mllc("export", f"checkpoint={checkpoint}", "output=é x.pt2", "correct=false")
    assert code == 0, err
    assert out.count("difference of the logits at most") == 3 and "exported: é x.pt2" in out
    files = {"pyg_mllc.json": ""}
    program = torch.export.load(tmp_path / "é x.pt2", extra_files=files).module()
    facts = json.loads(files["pyg_mllc.json"])
    assert json.loads(facts["classes"]) == ["sky", "road", "car"]
    assert facts["corrected"] == "false" and "[0, 1]" in facts["input"]
    images = torch.rand(3, 3, 128, 64)
    expected = pyg_mllc.load(checkpoint)(images)[1]
    assert torch.allclose(program(images), expected, atol=1e-5)


def test_onnx_computes_it_with_correction(mllc, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    checkpoint = saved(tmp_path / "two_rounds.ckpt", learn_blend=True)
    code, out, err = mllc("export", f"checkpoint={checkpoint}", "output=out/x.onnx", "correct=true")
    assert code == 0, err
    assert out.count("difference of the logits at most") == 3
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["x.onnx"]  # weights inside
    session = onnxruntime.InferenceSession(tmp_path / "out/x.onnx")
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["colors"]) == [[0, 0, 9], [9, 0, 0], [0, 9, 0]]
    images = torch.rand(1, 3, 128, 64)
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    expected = pyg_mllc.load(checkpoint)(images, correct=True)[1]
    assert torch.allclose(torch.from_numpy(logits), expected, atol=1e-3)
    for size in ((58, 64), (64, 65)):  # would be computed, wrongly, but for a shape inside
        with pytest.raises(Exception, match="cannot be reshaped"):
            session.run(["logits"], {"images": torch.rand(1, 3, *size).numpy()})


def test_a_network_that_computes_something_else_is_not_kept(
    mllc, checkpoint, tmp_path, monkeypatch
):
    def zeros(images):
        return images.new_zeros(len(images), 3, *images.shape[-2:])

    made = {"trace": None, "to_pt2": b"", "run_pt2": zeros}
    for name, result in made.items():
        monkeypatch.setattr(f"pyg_mllc.exporters.{name}", lambda *_, result=result: result)
    (tmp_path / "x.pt2").write_bytes(b"of before")
    code, _, err = mllc("export", f"checkpoint={checkpoint}", "output=x.pt2")
    message = r"logits differ by .*, more than tolerance=0.001; nothing is kept"
    assert code == 1 and re.search(message, err), err
    assert (tmp_path / "x.pt2").read_bytes() == b"of before"


def test_the_published_correction_is_compared_by_labels(mllc, tmp_path):
    checkpoint = saved(tmp_path / "published.ckpt", rounds=1, smooth=False)
    (tmp_path / "x.pt2").write_bytes(b"of before")
    options = ["output=x.pt2", "correct=true", "labels=-1"]
    code, _, err = mllc("export", f"checkpoint={checkpoint}", *options)
    message = r"0.00% of the labels differ, more than labels=-1: .*nothing is kept"
    assert code == 1 and re.search(message, err), err
    assert (tmp_path / "x.pt2").read_bytes() == b"of before"


@pytest.mark.parametrize(
    "options, message",
    [
        (["output=x.bin"], "output=x.bin does not say what to export to: format=onnx (.onnx) or"),
        (["output=x", "format=tflite"], "format=tflite does not say what to export to"),
        (["output=x.pt2", "image=no.jpg"], "no.jpg"),
        (["output=x.pt2", "checkpoint=no.ckpt"], "no.ckpt is no file"),
        ([], "output=... is not given; mllc export --help shows an example"),
    ],
)
def test_bad_input_gets_one_sentence(mllc, checkpoint, options, message, tmp_path):
    code, _, err = mllc("export", f"checkpoint={checkpoint}", *options)
    assert code == 2 and err.startswith("mllc: ") and err.count("\n") == 1 and message in err, err
    assert not list(tmp_path.iterdir())


def test_the_checkpoint_is_never_overwritten(mllc, checkpoint):
    before = checkpoint.read_bytes()
    options = [f"checkpoint={checkpoint}", f"output={checkpoint}", "format=onnx"]
    code, _, err = mllc("export", *options)
    assert code == 2 and "is the checkpoint itself" in err
    assert checkpoint.read_bytes() == before


def test_layers_that_no_exporter_takes(mllc, tmp_path):
    saved(tmp_path / "a.ckpt", conv="GATv2Conv")
    code, _, err = mllc("export", "checkpoint=a.ckpt", "output=x.pt2", "correct=true")
    assert code == 2 and "correct=false exports the network without it" in err
