import json
import os
import re
import shlex
import signal
import time

import numpy as np
import pytest
import torch
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from PIL import Image

import pyg_mllc
from pyg_mllc.cli.composition import composing
from pyg_mllc.errors import InputError

TINY = [
    "model.encoder=test_resnet", "model.weights=null", "model.feature_dim=8", "model.width=16",
    "data.size=[32,48]", "trainer.max_steps=2", "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("blank_figures")


def test_help_lists_the_commands(mllc):
    code, out, _ = mllc("--help")
    assert code == 0 and "train" in out and "mllc train experiment=demo" in out


def test_demo_compares_the_baseline_with_mllc_and_writes_the_report(mllc, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2"]
    code, out, err = mllc("train", "experiment=demo", "output=outputs/demo", *TINY, *data)
    assert code == 0, err
    assert "supervised" in out and "mllc" in out and "report: outputs/demo/report.html" in out
    html = (tmp_path / "outputs/demo/report.html").read_text()
    assert "supervised" in html and "textures: 2 labeled, 3 unlabeled, 2 validation" in html
    assert (tmp_path / "outputs/demo/mllc/last.ckpt").is_file()


def test_rare_classes_are_pasted_drawn_and_weighed_at_once(mllc, tmp_path):
    data = ["data.labeled=3", "data.unlabeled=3", "data.val=2", "output=out", "method=fixmatch"]
    rare = [
        "method.rare_paste=0.5", "trainer.rare_class_temperature=0.1",
        "method.supervised_loss.class_weights=enet",
    ]  # fmt: skip
    code, _, err = mllc("train", *TINY, *data, *rare)
    assert code == 0, err
    state = torch.load(tmp_path / "out/fixmatch/last.ckpt", weights_only=True)["state_dict"]
    assert state["method.rare_paste.class_counts"].sum() > 0
    assert pyg_mllc.load(tmp_path / "out/fixmatch/best.ckpt")


def test_instant_takes_no_step_and_its_checkpoint_is_like_any_other(mllc, tmp_path):
    data = ["data.labeled=3", "data.unlabeled=0", "data.val=2", "output=out", "method=instant"]
    code, out, err = mllc("train", *TINY, *data, "data.size=[64,96]")
    assert code == 0, err
    assert "each labeled image by the other images" in out and "chosen" in out
    assert ">none<" in (tmp_path / "out/report.html").read_text()
    weights = [pyg_mllc.load(tmp_path / f"out/instant/{name}.ckpt") for name in ("last", "best")]
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    first, second = (network.predict(image, correct=True) for network in weights)
    assert torch.equal(first.after, second.after)
    assert not torch.equal(first.after, first.before)
    code, out, err = mllc("train", "resume=out")
    assert code == 0 and "ended before" in out, err
    again = pyg_mllc.load(tmp_path / "out/instant/last.ckpt").predict(image, correct=True)
    assert torch.equal(again.after, first.after)
    code, _, err = mllc("train", *TINY, *data[:3], "method=instant", "model.init=random")
    assert code == 2 and "method=instant trains nothing, so it needs model.init=evidence" in err


def test_evidence_teaches_and_goes_into_the_checkpoint(mllc, tmp_path):
    data = ["data.labeled=3", "data.unlabeled=3", "data.val=2", "output=out"]
    evidence = [
        "method=fixmatch", "method.correct=true", "method.memory.anchors=0", "model.init=evidence",
        "evidence@method.memory.evidence=gaussians", "method.memory.encoder=null",
        "method.memory.evidence.encoder.name=test_resnet", "corrector.k=4",
        "method.memory.evidence.encoder.weights=null",
    ]  # fmt: skip
    code, out, err = mllc("train", *TINY, *data, *evidence, "data.size=[64,96]")
    assert code == 0, err
    assert out.count("each labeled image by the other images") == 2
    memory = pyg_mllc.load(tmp_path / "out/fixmatch/best.ckpt").memory
    assert memory.has_evidence and float(memory.evidence.weight) > 0
    code, out, _ = mllc("train", *TINY, *data[:3], *evidence, "corrector.rounds=0")
    assert code == 0 and "no effect: evidence@method.memory.evidence=gaussians, for" in out


def test_layers_are_swapped_by_name(mllc):
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2"]
    swap = ["corrector.conv=GATv2Conv", "corrector.feature_conv=SAGEConv", "corrector.k=5"]
    code, _, err = mllc("train", "experiment=demo", *TINY, *data, *swap)
    assert code == 0, err


def test_a_checkpoint_has_all_frozen_encoders(mllc, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2", "output=out", "method=mllc_anchors"]
    encoder = [
        "method.memory.encoder.name=[test_resnet,test_vit]", "method.memory.encoder.weights=null",
        "method.memory.encoder.scale=2", "method.memory.encoder.remove_position=2",
    ]  # fmt: skip
    code, _, err = mllc("train", *TINY, *data, *encoder)
    assert code == 0, err
    loaded = pyg_mllc.load(tmp_path / "out/mllc/best.ckpt").memory.encoder
    assert (loaded.scale, loaded.remove_position, len(loaded.others)) == (2, 2, 1)


@pytest.mark.parametrize(
    "given, unread",
    [
        ([], ["corrector=bayes", "corrector.anchor_share=0.1", "corrector.anchor_temperature=9"]),
        (["corrector.levels=class"], ["corrector.k=1", "corrector.conv=GCNConv"]),
        (["corrector.levels=none"], ["corrector.feature_conv=GCNConv", "corrector.blend=[1,1]"]),
        (["method=fixmatch"], ["corrector.rounds=1", "method.memory.anchors=20"]),
    ],
)
def test_options_that_are_told_to_have_no_effect_have_none(given, unread, mllc, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2", *TINY, *given]
    assert mllc("train", *data, "output=without")[0] == 0
    code, out, _ = mllc("train", *data, *unread, "output=with")
    assert code == 0 and all(f"no effect: {option}, for " in out for option in unread)
    found = [json.loads(f.read_text()) for f in sorted(tmp_path.glob("*/*/result.json"))]
    assert len(found) == 2 and found[0]["history"] == found[1]["history"]


def test_the_command_that_is_kept_does_the_same_elsewhere(mllc, tmp_path):
    row = tmp_path / "conf/experiment/mine/row.yaml"
    row.parent.mkdir(parents=True)
    row.write_text("# @package _global_\ncorrector:\n  k: 3\n")
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2", *TINY]
    code, _, err = mllc("train", "--config-dir=conf", "experiment=mine/row", *data, "output=out")
    assert code == 0, err
    assert "k: 3" in (tmp_path / "out/run.yaml").read_text()
    kept = shlex.split((tmp_path / "out/command.txt").read_text())
    code, _, err = mllc(*kept[1:], "overwrite=true")
    assert code == 0 and "k: 3" in (tmp_path / "out/run.yaml").read_text(), err


MINE = """
import torch
from torch_geometric.nn import MessagePassing
from pyg_mllc.methods import FixMatch

class Layer(MessagePassing):
    def __init__(self, in_channels, out_channels, scale):
        super().__init__()
        self.lin, self.scale = torch.nn.Linear(in_channels, out_channels), scale

    def forward(self, x, edge_index):
        return self.scale * self.lin(self.propagate(edge_index, x=x))

class Mine(FixMatch):
    pass

class NoTensor(FixMatch):
    def forward(self, batch):
        return {"loss": 1.0}
"""


@pytest.fixture
def own_code(tmp_path):
    name = f"own_{tmp_path.name}"  # in a process that runs many tests, each has a module of its own
    (tmp_path / f"{name}.py").write_text(MINE)
    return name


def test_layers_of_ones_own_and_layers_with_options(mllc, own_code, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2", "output=out"]
    own = f"corrector.conv={{_target_:{own_code}.Layer,_partial_:true,scale:0.5}}"
    with_options = "corrector.feature_conv={name:SAGEConv,aggr:[mean,max]}"
    code, _, err = mllc("train", *TINY, *data, own, with_options, "corrector.k=5")
    assert code == 0, err
    Image.new("RGB", (48, 32)).save(tmp_path / "a.png")
    predict = ["predict", "checkpoint=out/mllc/last.ckpt", "input=a.png", "output=labeled"]
    code, _, err = mllc(*predict, "correct=true")
    assert code == 2 and f"allow=[{own_code}]" in err and err.count("\n") == 1
    code, _, err = mllc(*predict, "correct=true", f"allow=[{own_code}]")
    assert code == 0 and (tmp_path / "labeled/labels/a.png").is_file(), err
    for allow, told in (([], "corrector.conv names"), ([f"allow=[{own_code}]"], "")):
        code, _, err = mllc("train", "resume=out", "trainer.enable_progress_bar=false", *allow)
        assert code == (2 if told else 0) and told in err, err


def test_a_method_of_ones_own(mllc, own_code, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2", "method=fixmatch"]
    code, out, err = mllc("train", *TINY, *data, f"method._target_={own_code}.Mine")
    assert code == 0 and "mine" in out, err
    for name, message in (
        ("Mein", f"{own_code}.Mein cannot be imported: module '{own_code}' has no attribute"),
        ("NoTensor", "expected NoTensor to give tensors, a loss among them, got {'loss': 'float'}"),
    ):
        code, _, err = mllc("train", *TINY, *data, f"method._target_={own_code}.{name}")
        assert code == 2 and message in err and err.count("\n") == 1


def test_a_method_of_ones_own_beside_the_one_of_its_name(mllc, own_code, tmp_path):
    (tmp_path / f"{own_code}.py").write_text(MINE.replace("class Mine", "class Supervised"))
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2", "output=out"]
    options = ["method=fixmatch", "method@baseline=supervised"]
    target = f"method._target_={own_code}.Supervised"
    assert mllc("data", "check", "data=textures", "data.val=1", "method=fixmatch", target)[0] == 0
    code, _, err = mllc("train", *TINY, *data, *options, target)
    assert code == 0, err
    names = {path.parent.name for path in (tmp_path / "out").glob("*/last.ckpt")}
    assert names == {"supervised", "supervised_baseline"}


@pytest.mark.parametrize(
    "method",
    [
        "supervised", "fixmatch", "unimatch", "unimatch_v2", "prevmatch", "mllc", "mllc_anchors",
        "mllc_evidence",
    ],
)  # fmt: skip
def test_every_method_trains(mllc, method, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2", "trainer.val_check_interval=1"]
    frozen = ["method.memory.encoder.name=test_resnet", "method.memory.encoder.weights=null"]
    frozen += ["method.correct=true"] if method == "fixmatch" else []
    more = frozen if method in ("fixmatch", "mllc_anchors", "mllc_evidence") else []
    code, out, err = mllc("train", f"method={method}", *TINY, *data, *more, "corrector.k=5")
    assert code == 0, err
    corrects = method not in ("supervised", "unimatch", "unimatch_v2", "prevmatch")
    name = method.replace("_v2", "v2")  # that of the class
    assert corrects != (f"no effect: corrector.k=5, for {name} corrects nothing" in out)
    assert method.split("_")[0] in out
    (checkpoint,) = tmp_path.rglob("best.ckpt")
    predictor = pyg_mllc.load(checkpoint)
    assert len(predictor.classes) == 10 and predictor.size == (32, 48)
    assert predictor.predict(torch.rand(3, 20, 30)).label.shape == (20, 30)
    anchors = predictor.memory.anchors
    assert anchors is None or len(anchors)


def test_a_stopped_run_goes_on_with_its_own_options(mllc, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2", "output=outputs/mine"]
    assert mllc("train", "method=fixmatch", *TINY, *data)[0] == 0
    (tmp_path / "outputs/mine/report.html").unlink()
    code, out, err = mllc("train", "resume=outputs/mine", "trainer.enable_progress_bar=false")
    assert code == 0, err
    assert "going on: outputs/mine" in out and "fixmatch" in out
    assert (tmp_path / "outputs/mine/report.html").is_file()
    code, _, err = mllc("train", "resume=outputs/mine", "optimizer.lr=1")
    assert code == 2 and "resume= takes all options from the run; leave out optimizer.lr=1" in err
    code, _, err = mllc("train", "resume=outputs/other")
    assert code == 2 and "resume=outputs/other is no folder of a run: it has no run.yaml" in err


def test_python_trains_as_the_command_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = HydraConfig.instance().cfg
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2"]
    baseline, trained = pyg_mllc.train("experiment=demo", *TINY, *data, output="my run")
    assert (baseline.name, trained.name) == ("supervised", "mllc")
    assert (tmp_path / "my run/mllc/best.ckpt").is_file()
    (tmp_path / "my run/report.html").unlink()
    assert pyg_mllc.train(resume="my run")[-1].last_miou == trained.last_miou
    assert (tmp_path / "my run/report.html").is_file()
    assert HydraConfig.instance().cfg is before


@pytest.mark.parametrize(
    "overrides, options, message",
    [
        (["experiment=none"], {}, "there is no experiment=none"),
        (["trainer.steps=3"], {}, "There is no such option"),
        (["seed=-1"], {}, "seed=-1 is not a whole number of 0 or more"),
        ([], {"resume": "nowhere"}, "resume=nowhere is no folder of a run: it has no run.yaml"),
    ],
)
def test_python_trains_nothing_of_bad_options(overrides, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = HydraConfig.instance().cfg
    with pytest.raises(InputError, match=message):
        pyg_mllc.train(*overrides, **options)
    assert HydraConfig.instance().cfg is before and not list(tmp_path.iterdir())


def test_a_resumed_run_has_the_images_of_before(mllc, camvid, tmp_path):
    options = ["data=camvid", f"data.root={camvid}", "data.labeled=1", "method=supervised"]
    assert mllc("train", *options, *TINY, "output=outputs/mine")[0] == 0
    folder = tmp_path / "outputs/mine/partition"
    lists = [(folder / f"{name}.txt").read_text() for name in ("labeled", "unlabeled", "val")]
    assert [text.count("\n") for text in lists] == [1, 2, 3]
    (folder / "labeled.txt").write_text(lists[1])  # the lists count, not a new draw
    (folder / "unlabeled.txt").write_text(lists[0])
    code, out, err = mllc("train", "resume=outputs/mine", "trainer.enable_progress_bar=false")
    assert code == 0, err
    assert "2 labeled images" in out


@pytest.mark.parametrize("name, folder", [("camvid", "camvid"), ("voc", "voc2012")])
def test_trains_on_real_images(mllc, real_data, name, folder, tmp_path):
    root = f"data.root={real_data / folder}"
    data = ["data.labeled=2", "data.unlabeled=3", "data.val=2"]
    code, _, err = mllc("train", f"experiment={name}", root, *TINY, *data)
    assert code == 0, err
    assert len(list((tmp_path / "outputs" / name).glob("*/report.html"))) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["tran"], "'tran' is not a command; choose one of: train, data"),
        (["train", "experiment=nope"], "there is no experiment=nope; there are camvid, .*methods/"),
        (["train", "experiment=layers"], "is a folder; choose one of: layers/voc_affinity, "),
        (["train", "experiment=layers/voc_gat2"], "did you mean layers/voc_gatv2 or "),
        (["train", "baseline=fixmatch"], "names no method; write method@baseline=fixmatch"),
        (["train", *TINY, "corrector.rounds=two"], "corrector: expected rounds to be a whole "),
        (["train", "model.encoder=resnet5"], "model.encoder=resnet5 is not a model of timm"),
        (["train", "data=camvid", "data.root=nowhere"], "data.root=nowhere does not exist"),
        (["train", "data=camvid"], "data.root=None is not given: pass data.root="),
        (["train", "trainer.devices=2"], "need 2 processes: torchrun --nproc-per-node"),
        (["train", "trainer.max_steps=0"], "trainer.max_steps=0 must be 1 or more"),
        (["train", "trainer.max_steps=many"], "trainer.max_steps=many is not a whole number"),
        (["train", *TINY, "trainer.accelerator=tpu"], "trainer.accelerator=tpu "),
        (["train", "seed=1.5"], "seed=1.5 is not a whole number"),
        (["train", "optimizer.lr=fast"], "optimizer.lr=fast is not a number"),
        (["train", "optimizer.lr=-1"], "optimizer.lr=-1 must be 0 or more"),
        (["train", "trainer.window=64"], "trainer.window=64 must be two positive whole numbers"),
        (["train", *TINY, "trainer.precision=foo"], "trainer.precision=foo"),
        (["train", *TINY, "method.strong.mix=foo"], "method.strong: expected mix to be cutmix"),
        (["train", *TINY, "method.weak.scale=3"], "method.weak: "),
        (["train", *TINY, "method.power=abc"], "method: .*str"),
        (["train", *TINY, "corrector.blend=0.3"], "corrector: .*two numbers of blend.*0.3"),
        (["train", "data.labeled=0"], "data.labeled=0 must be a whole number"),
        (["train", "trainer.lr=1"], "no such option; did you mean 'optimizer.lr'"),
        (["train", "trainer.val_every=1"], "did you mean 'trainer.val_check_interval'"),
        (["train", "data.lebeled=1"], "no such option; did you mean 'data.labeled'"),
        (["train", "data.root=mine"], "Say which data set it is the root of: data=folder, data="),
        (["train", "mehtod=fixmatch"], "no such option; did you mean 'method'"),
        (["train", "data.zzzzzz=1"], "data.zzzzzz'. There is no such option; --help lists all"),
        (["train", "method=null"], "A group takes a name, not null"),
        (["train", "trainer.max_steps"], "trainer.max_steps"),
        (["train", "data.labeled=1", "output=/proc/x"], "/proc/x: No such file"),
        (["train", "corrector.conv=GATConv2", *TINY], "corrector: 'GATConv2'.*GATv2Conv"),
        (["train", "corrector.levels=all", *TINY], "corrector: expected levels to be 'both'"),
        (
            ["train", "data.unlabeled=0", *TINY],
            "needs unlabeled images, and there are none: add some",
        ),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(mllc, arguments, message, tmp_path):
    code, _, err = mllc(*arguments)
    assert code == 2
    assert err.startswith("mllc: ") and err.count("\n") == 1 and "Traceback" not in err
    assert re.search(message, err)
    assert not (tmp_path / "outputs").exists()


def test_processes_of_one_training_are_told_their_folder(mllc, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "two")
    code, _, err = mllc("train", "trainer.devices=2")
    assert code == 2 and err.startswith("mllc: output is not given") and err.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


def test_runs_that_start_in_one_second_have_a_folder_each():
    with composing():
        folders = [compose("train", ["experiment=demo"]).output for _ in range(10)]
    assert len(set(folders)) == 10


def test_a_folder_with_anything_else_in_it_is_left_as_it_is(mllc, tmp_path):
    (tmp_path / "out/config").mkdir(parents=True)
    (tmp_path / "out/config/mine.txt").write_text("of my own")
    assert mllc("train", "output=out", "trainer.max_steps=0")[0] == 2
    assert (tmp_path / "out/config/mine.txt").read_text() == "of my own"
    (tmp_path / "lists/partition").mkdir(parents=True)
    (tmp_path / "lists/partition/labeled.txt").write_text("a.png")
    for options in (["resume=lists"], ["output=lists", "trainer.max_steps=0"]):
        assert mllc("train", *options)[0] == 2
        assert (tmp_path / "lists/partition/labeled.txt").read_text() == "a.png"
    assert mllc("train", "output=.", "trainer.max_steps=0")[0] == 2 and tmp_path.is_dir()


def test_going_on_with_what_is_no_run_leaves_it_as_it_is(mllc, tmp_path):
    (tmp_path / "mine").mkdir()
    for given in ("mine", "nowhere"):
        code, _, err = mllc("train", f"resume={given}")
        assert code == 2 and f"resume={given} is no folder of a run" in err
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_what_cannot_be_built_takes_no_place(mllc, tmp_path):
    (tmp_path / "out").mkdir()
    for name in ("run.yaml", "report.html"):
        (tmp_path / "out" / name).write_text("of before")
    for wrong in (["corrector.k=0"], ["method@baseline=supervised", "method.weighting=pow"]):
        assert mllc("train", "output=out", "overwrite=true", *wrong, *TINY)[0] == 2
        for name in ("run.yaml", "report.html"):
            assert (tmp_path / "out" / name).read_text() == "of before"
        assert not (tmp_path / "out/supervised").exists()  # no training in vain


def test_a_run_that_takes_the_place_of_another_never_goes_on_with_it(mllc, tmp_path):
    logs = ("mllc/from_step_3", "mllc/tensorboard")
    for folder in logs:
        (tmp_path / "out" / folder).mkdir(parents=True)
    torn = "mllc/best.ckpt.15557.139.part"  # of a process that was killed
    for name in ("run.yaml", "report.html", "mllc/last.ckpt", torn, *(f"{log}/a" for log in logs)):
        (tmp_path / "out" / name).write_text("of before")
    code, _, err = mllc("train", "output=out", "overwrite=true", "method=supervised", *TINY)
    assert code == 0, err
    assert not (tmp_path / "out/mllc/last.ckpt").exists()
    assert (tmp_path / "out/mllc/earlier.ckpt").read_text() == "of before"
    assert not any((tmp_path / "out" / log).exists() for log in (*logs, torn))  # curves would mix


@pytest.fixture
def camvid(tmp_path):
    for split in ("train", "val"):
        for kind, mode in (("", "RGB"), ("annot", "L")):
            folder = tmp_path / "camvid" / f"{split}{kind}"
            folder.mkdir(parents=True)
            for i in range(3):
                Image.new(mode, (48, 32)).save(folder / f"{i}.png")
    return tmp_path / "camvid"


def test_more_labeled_images_than_there_are(mllc, camvid):
    code, _, err = mllc("train", "data=camvid", f"data.root={camvid}", "data.labeled=4", *TINY)
    assert code == 2 and "data.labeled=4 is more than the 3" in err


def test_a_mask_of_another_size_is_named(mllc, camvid):
    Image.new("L", (40, 32)).save(camvid / "trainannot/1.png")
    options = ["data=camvid", f"data.root={camvid}", "data.labeled=3", "method=supervised"]
    code, _, err = mllc("train", *options, *TINY)
    assert code == 2 and "trainannot/1.png" in err and "40" in err and "48" in err


def test_a_baseline_is_trained_where_asked(mllc):
    data = ["data.labeled=2", "data.unlabeled=2", "data.val=2"]
    code, out, _ = mllc("train", "method@baseline=supervised", *TINY, *data)
    assert code == 0 and "supervised" in out and "mllc" in out


def test_earlier_results_stay(mllc, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=2", "data.val=2", "method=supervised"]
    assert mllc("train", *TINY, *data)[0] == 0
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    time.sleep(1)
    assert mllc("train", *TINY, *data, "model.encoder=resnet5")[0] == 2
    assert all(f.read_bytes() == content for f, content in before.items())


ALONE = """
import os, signal, sys
from pyg_mllc.cli import main
os.setsid()
# A shell's background job ignores Ctrl-C, and its children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.stderr = open("stderr.txt", "w", buffering=1)
sys.argv = ["mllc", "train", *options]
main()
"""


def test_one_process_trains_in_a_folder_and_who_stops_it_gets_a_checkpoint(
    mllc, fork_server, tmp_path
):
    options = ["trainer.max_steps=100000", "trainer.log_every_n_steps=1", "trainer.num_workers=1"]
    options += ["output=out"]
    run = fork_server.Process(target=exec, args=(ALONE, {"options": [*TINY, *options]}))
    run.start()
    while not list(tmp_path.rglob("mllc/metrics.csv")) and run.is_alive():
        time.sleep(0.2)
    before = (tmp_path / "out/run.yaml").read_bytes()
    for again in (["resume=out"], ["output=out", "overwrite=true", "seed=1", *TINY]):
        code, _, err = mllc("train", *again)
        assert code == 2 and "out is being trained by another process; wait for it" in err
    assert (tmp_path / "out/run.yaml").read_bytes() == before and run.is_alive()
    os.killpg(run.pid, signal.SIGINT)  # as Ctrl-C: the loading processes, too
    run.join(60)
    assert run.exitcode == 130
    sentence = (tmp_path / "stderr.txt").read_text()
    assert "mllc: stopped; mllc train resume=out goes on" in sentence
    assert len(list(tmp_path.rglob("mllc/last.ckpt"))) == 1


def test_a_baseline_of_the_same_method_has_a_folder_of_its_own(mllc, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=2", "data.val=2", "output=out"]
    options = ["method=fixmatch", "method@baseline=fixmatch", "baseline.decay=0.5"]
    code, _, err = mllc("train", *TINY, *data, *options)
    assert code == 0, err
    assert {path.parent.name for path in (tmp_path / "out").glob("*/last.ckpt")} == {
        "fixmatch", "fixmatch_baseline",
    }  # fmt: skip


def test_a_finished_run_is_not_trained_over(mllc, tmp_path):
    data = ["data.labeled=2", "data.unlabeled=2", "data.val=2", "method=supervised", "output=out"]
    assert mllc("train", *TINY, *data)[0] == 0
    before = (tmp_path / "out/supervised/last.ckpt").read_bytes()
    code, _, err = mllc("train", *TINY, *data)
    assert code == 2 and "out holds a run: mllc train resume=out goes on with it" in err
    assert (tmp_path / "out/supervised/last.ckpt").read_bytes() == before
    assert mllc("train", *TINY, *data, "overwrite=true", "seed=1")[0] == 0
    assert (tmp_path / "out/supervised/last.ckpt").read_bytes() != before


def test_a_training_that_ends_before_its_first_step_leaves_nothing(mllc, tmp_path):
    for number in range(3):
        for folder, shape in (("images", (32, 32, 3)), ("masks", (32, 32))):
            pixels = np.zeros(shape, np.uint8)
            pixels[16:] = 1
            if folder == "masks" and number == 1:
                pixels = pixels[4:]  # which is seen when the mask is read
            (tmp_path / "mine" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "mine" / folder / f"{number}.png")
    data = ["experiment=folder", "data.root=mine", "method=supervised", "output=new/out"]
    tiny = [option for option in TINY if not option.startswith(("data.", "method"))]
    code, _, err = mllc("train", *data, *tiny)
    assert code == 2 and "is 28 x 32 pixels" in err, err
    assert not (tmp_path / "new").exists()


def test_labels_that_tell_nothing_apart_are_refused_and_others_doubted(mllc, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        for folder, shape in (("images", (32, 32, 3)), ("masks", (32, 32))):
            file = tmp_path / "mine" / folder / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            values = rng.integers(0, 256, shape, dtype=np.uint8)
            if folder == "masks":
                values[:16], values[16:] = 0, 255
            Image.fromarray(values).save(file)
    table = tmp_path / "mine/classes.txt"
    options = ["data=folder", "data.root=mine", "method=supervised", *TINY, "output=out"]
    table.write_text("sky\nroad\ncar\n")
    code, _, err = mllc("train", *options)
    assert code == 2 and "show 'sky' alone and void in 50% of their pixels" in err
    assert "'0,sky' and '255,road'" in err and not (tmp_path / "out").exists()
    table.write_text("0,sky\n255,road\n1,car\n")
    code, out, err = mllc("train", *options)
    assert code == 0, err
    assert "doubtful labels: the labeled masks (3 of 3 read) have no pixel of 'car'" in out
