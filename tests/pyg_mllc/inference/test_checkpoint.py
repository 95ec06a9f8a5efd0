import errno
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch

import pyg_mllc
from pyg_mllc.errors import InputError
from pyg_mllc.inference.checkpoint import build_method, describe, load_method, save_checkpoint
from pyg_mllc.methods import MLLC
from pyg_mllc.nn import LabelCorrector, Segmenter

MODEL = {"encoder": "test_resnet", "feature_dim": 8, "width": 16, "weights": "auto"}
FROZEN = {
    "_target_": "pyg_mllc.nn.FrozenFeatures", "_partial_": True, "name": "test_resnet",
    "weights": "package",  # none of its kind exist: loading must not look for them
}  # fmt: skip
MEMORY = {"_target_": "pyg_mllc.nn.CorrectionMemory", "_partial_": True, "encoder": FROZEN}
METHODS = {
    "supervised": {"_target_": "pyg_mllc.methods.Supervised", "decay": 0.9},
    "fixmatch": {"_target_": "pyg_mllc.methods.FixMatch", "correct": True, "memory": MEMORY},
    "unimatch": {
        "_target_": "pyg_mllc.methods.UniMatch", "weighting": "freematch",
        "supervised_loss": {
            "_target_": "pyg_mllc.losses.SupervisedLoss", "_partial_": True,
            "class_weights": "enet",
        },
    },
    "mllc": {
        "_target_": "pyg_mllc.methods.MLLC", "_partial_": True, "memory": {**MEMORY, "anchors": 30},
        "weak": {"_target_": "pyg_mllc.transforms.WeakView", "scale": [0.75, 2.0]}, "warmup": 0.0,
    },
}  # fmt: skip


def described(method="mllc", classes=3):
    names, colors = [f"c{i}" for i in range(classes)], [(i, 0, 0) for i in range(classes)]
    return describe(
        names, colors, (32, 48), model=MODEL, corrector={"k": 4}, method=METHODS[method]
    )


@pytest.fixture(params=METHODS)
def made(request, tmp_path):
    """A method with weights of its own, and its checkpoint."""
    description = described(request.param)
    method = build_method(description)
    if method.memory.anchors is not None:
        x = torch.randn(60, method.memory.anchors.slots.size(-1))
        method.memory.anchors.add(x, torch.arange(60) % 3)
    if method.supervised_loss.needs_class_counts:
        method.supervised_loss.set_class_counts(torch.tensor([6, 3, 1]))
    path = tmp_path / "some where, é" / "best.ckpt"
    save_checkpoint(path, method, description)
    return method.eval(), path


def test_a_checkpoint_alone_gives_the_network_back(made):
    method, path = made
    saved = load_method(path)
    assert saved.classes == ("c0", "c1", "c2") and saved.colors[2] == (2, 0, 0)
    assert saved.size == (32, 48)
    for name, value in method.state_dict().items():
        assert torch.equal(value, saved.method.state_dict()[name]), name
    image = torch.rand(1, 3, 32, 48)
    for network in ("student", "teacher"):
        expected, got = (
            (m.student if network == "student" else m.teacher.network)(image, m.memory)
            for m in (method, saved.method)
        )
        assert torch.equal(expected.logits, got.logits)


def changed(path, change):
    """A checkpoint of the same network after `change` of what it holds."""
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path, description = tmp_path_factory.mktemp("original") / "a.ckpt", described()
    save_checkpoint(path, build_method(description), description)
    return path


@pytest.fixture
def checkpoint(original, tmp_path):
    return Path(shutil.copy(original, tmp_path))


class Payload:
    """Runs a command when unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_strangers_checkpoint_cannot_run_code(checkpoint, tmp_path, how):
    mark = tmp_path / "ran"
    content = {"state_dict": {}, "network": Payload(mark)}
    if how == "torch":
        torch.save(content, checkpoint)
    else:
        checkpoint.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"a\.ckpt is not loaded: .* more than weights"):
        pyg_mllc.load(checkpoint)
    assert not mark.exists()
    torch.load(checkpoint, weights_only=False) if how == "torch" else pickle.loads(
        checkpoint.read_bytes()
    )
    assert mark.exists()  # the trap is a real one


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "torch.nn.Linear",  # harmless, but not ours
        "pyg_mllc.nn.encoders.import_module",  # ours imports it
        "pyg_mllc.nn.segmenter.torch.load",
        "pyg_mllc.nn.segmenter.nn",
        "pyg_mllc.nn.nn.Linear",
        "pyg_mllc.nn.label_logits",  # a function
        "pyg_mllc.visualization.report.write_report",
        "pyg_mllc.cli.__main__.main",
        "pyg_mllc.nn.Prediction",
        "pyg_mllc.nn",
        "",
        None,
        7,
    ],
)
def test_a_foreign_target_is_not_built(checkpoint, target):
    def change(content):
        content["network"]["method"]["weak"]["_target_"] = target

    message = r"no module of pyg_mllc\.nn, .*not built|cannot be imported|no class"
    with pytest.raises(InputError, match=message):
        pyg_mllc.load(changed(checkpoint, change))


@pytest.mark.parametrize(
    "part, entry, message",
    [
        ("method", {"_target_": "os.system"}, "names os.system"),
        ("model", {"_target_": "pyg_mllc.cli.main"}, "names pyg_mllc.cli.main"),
        ("method", {"_args_": [1]}, "entry '_args_', which means nothing"),
        ("method", {"strong": [{"deep": {"_target_": "os.system"}}]}, "names os.system"),
        ("model", {"options": {"checkpoint_path": "a.pth"}}, "may not name files or addresses"),
        ("model", {"options": {"a": {"pretrained_cfg": {}}}}, "may not name files or addresses"),
        ("model", {"encoder": "hf-hub:someone/resnet50"}, "is not a model of timm"),
        ("model", {"encoder": "${oc.env:HOME}"}, "is not a model of timm"),
        ("model", {"_target_": "pyg_mllc.nn.LabelCorrector"}, "cannot be built so"),
        ("method", {"_target_": "pyg_mllc.transforms.WeakView"}, "cannot be built so"),
        ("method", {"lambda_x": 1}, "unexpected keyword argument 'lambda_x'"),
        ("corrector", {"conv": "os.system"}, "cannot be built so: .*os.system"),
    ],
)
def test_odd_configurations_are_refused(checkpoint, part, entry, message):
    with pytest.raises(InputError, match=message):
        pyg_mllc.load(changed(checkpoint, lambda c: c["network"][part].update(entry)))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.pop("network"), "does not say what network it is of"),
        (lambda c: c["network"].update(format=99, version="7.0"), "7.0.*update pyg_mllc"),
        (lambda c: c["network"].update(format=1, version="0.1.0"), "again, or use .*pyg_mllc 0.1"),
        (lambda c: c["network"]["classes"].append("more"), "names of 2 to 255 classes, a color"),
        (lambda c: c["network"].update(size=[32]), "a size of two numbers"),
        (lambda c: c["network"].update(size=[0, 32]), "a size of two numbers"),
        (lambda c: c["network"].update(colors=[[0, 0, 999]] * 3), "a color of three numbers"),
        (
            lambda c: c["network"].update(classes=["a", "b"], colors=[[0, 0, 0]] * 2),
            "not of the network that it describes, with 2 classes: .*size mismatch",
        ),
        (lambda c: c["state_dict"].clear(), "not of the network that it describes"),
        (lambda c: c.update(state_dict=[1]), "does not say what network it is of"),
    ],
)
def test_what_does_not_fit_gets_one_sentence(checkpoint, change, message):
    with pytest.raises(InputError, match=message) as caught:
        pyg_mllc.load(changed(checkpoint, change))
    assert str(checkpoint) in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_and_missing_files_get_one_sentence(checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    for content in (b"", b"no checkpoint", whole[: len(whole) // 2], whole[:-100]):
        checkpoint.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.ckpt is not loaded: it is no checkpoint"):
            pyg_mllc.load(checkpoint)
    torch.save([1, 2], checkpoint)
    with pytest.raises(InputError, match="does not say what network"):
        pyg_mllc.load(checkpoint)
    with pytest.raises(InputError, match="is no file; give a checkpoint"):
        pyg_mllc.load(tmp_path)


def test_methods_of_ones_own_are_loaded_where_they_are_allowed(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from pyg_mllc.methods import Supervised\nclass Mine(Supervised):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    method = {"_target_": "mine.Mine"}
    description = {**described("supervised"), "method": method}
    save_checkpoint(tmp_path / "a.ckpt", build_method(description, ["mine"]), description)
    with pytest.raises(InputError, match=r"names mine\.Mine"):
        load_method(tmp_path / "a.ckpt")
    for allow in (["mine"], "mine"):
        assert type(load_method(tmp_path / "a.ckpt", allow=allow).method).__name__ == "Mine"
    sys.modules.pop("mine")


def test_what_is_not_plain_is_not_described():
    with pytest.raises(InputError, match=r"conv=.*LabelCorrector.* is neither number, word nor"):
        describe(
            ["a"], [(0, 0, 0)], (8, 8), model=MODEL, method=METHODS["mllc"],
            corrector={"conv": LabelCorrector},
        )  # fmt: skip
    with pytest.raises(InputError, match="a color of three numbers"):
        describe(["a"], [(0, 0)], (8, 8), model=MODEL, corrector={}, method=METHODS["mllc"])


def test_a_full_disk_leaves_the_earlier_checkpoint(checkpoint, monkeypatch):
    before, real = checkpoint.read_bytes(), torch.save

    def full(content, file):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    method = MLLC(Segmenter(3, "test_resnet", feature_dim=8, width=8), LabelCorrector(3, 8))
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(checkpoint, method, described())
    monkeypatch.setattr(torch, "save", real)
    assert checkpoint.read_bytes() == before and os.listdir(checkpoint.parent) == ["a.ckpt"]
