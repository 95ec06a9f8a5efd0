"""Two processes train as one does, on the same batches."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from socket import socket

import pytest
import torch

from pyg_mllc.data import textures
from pyg_mllc.losses import SupervisedLoss
from pyg_mllc.methods import MLLC, FixMatch, Supervised, UniMatch
from pyg_mllc.nn import CorrectionMemory, FrozenFeatures, LabelCorrector, Segmenter
from pyg_mllc.training import TrainerConfig, train


class Same(torch.nn.Module):
    """A view that changes nothing: chance is each process's own."""

    def forward(self, *maps):
        return maps


class Still(Segmenter):
    """Its batch normalization keeps its statistics: torch shares those between GPUs alone."""

    def train(self, mode=True):
        super().train(mode)
        for module in self.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        return self


FROZEN = partial(FrozenFeatures, name="test_resnet", weights=None, embedding=False)
# Room for all pixels.
ANCHORS = {"memory": partial(CorrectionMemory, encoder=FROZEN, anchors=3000)}
CLASSES = {"supervised_loss": partial(SupervisedLoss, logit_adjustment=1.0, class_weights="enet")}
METHODS = {
    "supervised": (Supervised, {}),
    "fixmatch": (FixMatch, {"threshold": 0.0, "strong": Same()}),
    "fixmatch, anchors": (
        FixMatch, {"threshold": 0.0, "strong": Same(), "correct": True, **ANCHORS}
    ),
    "fixmatch, rare classes": (
        FixMatch, {"weighting": "softmatch", "strong": Same(), **CLASSES}
    ),
    "unimatch": (UniMatch, {"threshold": 0.0, "channel_dropout": 0.0, "strong": Same()}),
    "mllc": (MLLC, {"warmup": 0.2, "contrast_from": 0.0, "total_steps": 6, "strong": Same()}),
    "mllc, anchors": (
        MLLC, {"warmup": 0.2, "contrast_from": 0.0, "total_steps": 6, "strong": Same(), **ANCHORS}
    ),
}  # fmt: skip


def run(name, processes, out):
    torch.manual_seed(0)
    method, options = METHODS[name]
    segmenter = Still(10, "test_resnet", feature_dim=8, width=16)
    corrector = LabelCorrector(10, feature_dim=8, k=4, threshold=0.12)
    model = method(segmenter, corrector, weak=Same(), **options)
    model.train()  # sets the modes; a new module was never told
    splits = textures(labeled=6, unlabeled=7, val=3, size=(32, 48))
    config = TrainerConfig(
        max_steps=6, devices=processes, batch_size=4, unlabeled_batch_size=4, val_check_interval=4,
        log_every_n_steps=1, accelerator="cpu", enable_progress_bar=False,
        rare_class_temperature=0.1 if name.endswith("rare classes") else None,
        precision="64-true",  # a pixel at a threshold counts or not by rounding in float32
    )  # fmt: skip
    result = train(model, splits, config, 0, Path(out), "run")
    weights = [p.double().sum().item() for p in model.student.parameters()]
    counts = model.memory.class_counts
    return result.history, weights, [] if counts is None else counts.tolist()


ONE_OF_TWO = """
import json, os, test_processes as t
os.environ.update(variables)
t.torch.set_num_threads(1)
found = {name: t.run(name, 2, out / name) for name in t.METHODS}
if variables["RANK"] == "0":
    (out / "found.json").write_text(json.dumps(found))
"""


def test_two_processes_train_as_one(fork_server, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(Path(__file__).parent)  # the processes have this path
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = {  # what it tells each process
        "TORCHELASTIC_RUN_ID": "two", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    processes = []
    for rank in "01":
        options = {"variables": torchrun | {"RANK": rank, "LOCAL_RANK": rank}, "out": tmp_path}
        processes.append(fork_server.Process(target=exec, args=(ONE_OF_TWO, options)))
        processes[-1].start()
    single = {name: run(name, 1, tmp_path / "one" / name) for name in METHODS}
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0]
    found = json.loads((tmp_path / "found.json").read_text())
    assert list(found) == list(METHODS)
    for name, (history, weights, counts) in found.items():
        expected, one, confident = single[name]
        assert len(history) == len(expected) >= 6, name
        for row, other in zip(history, expected, strict=True):
            assert row == pytest.approx(other, rel=1e-6, abs=1e-6), name
        assert weights == pytest.approx(one, rel=1e-6, abs=1e-6), name
        assert counts == confident, name
        assert not counts or sum(counts) > 100, name


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds children as Linux has them")
def test_who_stops_one_process_stops_both_and_loses_nothing(tmp_path):
    options = [
        "model.encoder=test_resnet", "model.weights=null", "model.feature_dim=8", "model.width=16",
        "data.size=[32,48]", "data.labeled=4", "data.unlabeled=4", "data.val=2", "output=out",
        "trainer.devices=2", "trainer.max_steps=100000", "trainer.log_every_n_steps=1",
        "trainer.enable_progress_bar=false",
        f"trainer.accelerator={'cpu' if torch.cuda.is_available() else 'auto'}",
    ]  # fmt: skip
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "pyg_mllc.cli"]
    run = subprocess.Popen(
        [sys.executable, "-m", *command, "train", *options],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "out/mllc/metrics.csv").exists() and run.poll() is None:
        time.sleep(0.2)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGTERM)
    sentences = run.communicate(timeout=100)[1]
    assert sentences.count("mllc: stopped; mllc train resume=out goes on") == 2
    assert (tmp_path / "out/mllc/last.ckpt").is_file()
