"""A table is filled run by run, and goes on where it was stopped."""

import csv
import fcntl
import logging
import shutil
import signal
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import matplotlib
import pytest
import torch
from hydra import compose

from experiments import table as tables
from experiments.job import Job, data_root, rows
from experiments.methods import evaluate, search
from experiments.run import add, choices, main, run
from pyg_mllc import cli
from pyg_mllc.cli.composition import composing
from pyg_mllc.cli.run_dir import LOCK
from pyg_mllc.utils.provenance import commit

TINY = (
    "model.encoder=test_resnet", "model.weights=null", "model.feature_dim=8", "model.width=16",
    "data.size=[32,48]", "data.val=2", "trainer.max_steps=1", "trainer.accelerator=cpu",
)  # fmt: skip
JOB = Job("methods/camvid_46_supervised", TINY, 0)
METHODS = Path(evaluate.__file__).parent


class InProcess:
    """Trains in this process: to start another one takes longer than these trainings."""

    def __init__(self, options, log):
        handlers = logging.root.handlers[:]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["mllc", "train", *options])
            patch.setitem(matplotlib.rcParams, "savefig.dpi", 30)
            with redirect_stdout(log), redirect_stderr(log):
                try:
                    cli.main()
                    self.returncode = 0
                except SystemExit as stop:
                    self.returncode = stop.code
        logging.root.handlers[:] = handlers  # Hydra's write to the log

    def poll(self):
        return self.returncode


@pytest.fixture(scope="module")
def trained(real_data, tmp_path_factory):
    """A folder in which the job has been trained: the line of its table, and its network."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.run.start", InProcess)
        patch.setenv("MLLC_DATA", str(real_data.absolute()))
        patch.chdir(folder)
        run([JOB], folder / "table.csv", 1)
    return folder


@pytest.fixture
def table(real_data, tmp_path, monkeypatch):
    """A function that fills a table, and gives its lines."""
    monkeypatch.setenv("MLLC_DATA", str(real_data.absolute()))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "new folder" / "table.csv"

    def fill(*jobs, networks=False):
        with monkeypatch.context() as patch:
            patch.setattr("experiments.run.start", InProcess)
            run(list(jobs), path, 1, networks)
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    return fill


def test_what_is_in_the_table_is_not_trained_again(table, trained, tmp_path):
    (tmp_path / "new folder").mkdir()
    shutil.copy(trained / "table.csv", tmp_path / "new folder")  # without its network
    [line] = table(JOB)
    assert line["config"] == JOB.config and line["labeled"] == "46" and line["steps"] == "1"
    assert 0 <= float(line["miou_last"]) <= float(line["miou_best"]) <= 100
    assert not JOB.ended
    assert table(JOB, networks=True) == [line] and JOB.ended
    [result] = tmp_path.glob("outputs/tables/**/result.json")
    written = result.stat().st_mtime_ns

    (tmp_path / "new folder/table.csv").unlink()  # stopped between the training and its line
    [again] = table(JOB)  # of the second network: the same, in a time and a memory of its own
    measured = {"seconds", "step_seconds", "peak_mb", "date"}
    assert {k: v for k, v in again.items() if k not in measured} == {
        k: v for k, v in line.items() if k not in measured
    }
    assert result.stat().st_mtime_ns == written


def test_a_run_that_fails_says_where_to_look(table, trained, tmp_path, capsys):
    shutil.copytree(trained / "outputs", "outputs")  # its line is still to be written
    bad = JOB._replace(overrides=(*TINY, "method.decay=2"))
    with pytest.raises(SystemExit, match=r"1 of 2 runs failed:\n.*log\.txt ends with: .*decay"):
        table(bad, JOB)
    assert "ends with" in capsys.readouterr().err  # told as it happens
    assert [line["overrides"] for line in table()] == [" ".join(TINY)]  # the other one is there
    [log] = tmp_path.glob("outputs/tables/**/*decay-2*/seed0/log.txt")
    assert "decay" in log.read_text()


def test_a_run_of_other_images_or_options_is_not_taken_for_this_one(
    table, trained, tmp_path, monkeypatch
):
    shutil.copytree(trained / "outputs", "outputs")
    [kept] = tmp_path.glob("outputs/tables/**/run.yaml")
    text = kept.read_text()
    for was, is_now, message in (  # as if the row's file had changed since
        ("stride: 4", "stride: 8", r"trained with model\.stride=8, .* has 4 now"),
        (
            "  lr: 0.001",
            "  lr: 0.001\n  extra: 3",
            r"optimizer\.extra=3, .* has no such option now",
        ),
        ("  lr: 0.001\n", "", r"optimizer\.lr=0.0003, .* has 0.001 now"),  # the group's default
    ):
        assert was in text
        kept.write_text(text.replace(was, is_now))
        with pytest.raises(SystemExit, match=message):
            table(JOB)
    kept.write_text(text.replace("  save_every: null\n", ""))  # newer than the run, and as it was
    assert len(table(JOB)) == 1
    monkeypatch.setenv("MLLC_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="trained on other images than"):
        run([JOB], tmp_path / "other.csv", 1)


def test_a_run_is_in_a_table_once(table, trained, tmp_path):
    shutil.copytree(trained / "outputs", "outputs")
    rewritten = [option.replace("size=16", "size=1_6") for option in TINY]
    again = JOB._replace(overrides=tuple(reversed(rewritten)))
    assert len(table(JOB, JOB)) == 1
    assert len(table(again)) == 1
    add(tmp_path / "new folder/table.csv", JOB)  # another process has come to its end as well
    assert len(table()) == 1
    with pytest.raises(SystemExit, match="options with spaces"):
        table(JOB._replace(overrides=("name='a b'",)))


def test_what_is_held_out_has_a_folder_and_lines_of_its_own(table, trained, real_data):
    shutil.copytree(trained / "outputs", "outputs")
    held = JOB._replace(held_out=True)
    line, other = table(JOB, held)
    assert (line["split"], other["split"]) == ("val", "held_out")
    assert JOB.ended and held.ended and JOB.folder != held.folder
    frames = {
        split: {path.stem for path in (held.root / split).iterdir()} for split in ("train", "val")
    }
    everything = {path.stem for path in (real_data / "camvid" / "train").iterdir()}
    assert not frames["train"] & frames["val"] and set.union(*frames.values()) == everything
    for video in {name.split("_")[0] for name in everything}:
        of_video = {s: sorted(n for n in f if n.startswith(video)) for s, f in frames.items()}
        assert of_video["train"][-1] < of_video["val"][0]  # the last ones
        assert 0.15 < len(of_video["val"]) / sum(map(len, of_video.values())) < 0.25


TABLE = """
import os, sys
from experiments.run import main
os.environ.update(variables)
os.chdir(folder)
log = os.open("log", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
os.dup2(log, 1), os.dup2(log, 2)
sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
sys.argv = ["run", *words]
main()
"""


@pytest.fixture
def command(real_data, fork_server, tmp_path):
    """A function that starts a table of two runs, and gives it once the first has a checkpoint."""
    steps = "trainer.max_steps=20", "trainer.val_check_interval=20", "trainer.save_every=2"
    options = [*TINY[:-2], *steps, "trainer.batch_size=2", TINY[-1]]
    job = Job(JOB.config, tuple(options), 0)
    words = ["methods", "--rows", "camvid_46_supervised", "--seeds", "0", "1"]
    words += ["--csv", str(tmp_path / "table.csv"), "--set", *options]
    coarse = tmp_path / "matplotlibrc"  # drawn sooner
    coarse.write_text("savefig.dpi: 30")
    paths = {
        "PYTHONPATH": str(Path(__file__).parents[2]), "MLLC_DATA": str(real_data.absolute()),
        "MATPLOTLIBRC": str(coarse),
    }  # fmt: skip

    def start():
        given = {"variables": paths, "folder": tmp_path, "words": words}
        process = fork_server.Process(target=exec, args=(TABLE, given))
        process.start()
        until = time.monotonic() + 120
        while not list((tmp_path / job.folder).glob("*/last.ckpt")):
            assert process.is_alive() and time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.05)
        return process

    return start, job


@pytest.mark.slow
def test_a_table_that_is_stopped_leaves_no_training_behind_and_goes_on(command, tmp_path, table):
    start, job = command
    process = start()
    process.terminate()
    process.join(60)
    assert process.exitcode == 1
    assert (tmp_path / "log").read_text().endswith("stopped; the same command goes on\n")
    with (tmp_path / job.folder / LOCK).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody trains there
    assert not (tmp_path / job._replace(seed=1).folder).exists()
    assert not job.ended and not (tmp_path / "table.csv").exists()

    [last] = (tmp_path / job.folder).glob("*/last.ckpt")
    saved = torch.load(last, weights_only=True)
    saved["run"]["provenance"]["commit"] = ["begun"]
    torch.save(saved, last)
    [line] = table(job)
    assert line["steps"] == "20" and line["commit"].startswith("begun ")
    assert "going on" in (tmp_path / job.folder / "log.txt").read_text()


@pytest.mark.slow
def test_a_training_whose_table_was_killed_is_left_alone_and_then_counts(command, tmp_path, table):
    start, job = command
    start().kill()
    with pytest.raises(SystemExit, match="is being trained by another process"):
        table(job)
    with (tmp_path / job.folder / LOCK).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits for its end
    assert job.ended
    [result] = tmp_path.glob("outputs/tables/**/result.json")
    written = result.stat().st_mtime_ns
    [line] = table(job)
    assert line["steps"] == "20" and result.stat().st_mtime_ns == written


def test_a_line_says_what_trained_the_run(table, trained):
    shutil.copytree(trained / "outputs", "outputs")
    [line] = table(JOB)
    made = JOB.result.provenance
    assert line["commit"] == JOB.commit == commit() != ""
    assert [line[name] for name in ("versions", "machine", "date")] == [
        made[name][0] for name in ("versions", "machine", "date")
    ]
    assert line["machine"].endswith("1 thread a run") and "torch_geometric" in line["versions"]


def test_a_run_of_an_earlier_version_is_told(table, trained, tmp_path):
    shutil.copytree(trained / "outputs", "outputs")
    [kept] = tmp_path.glob("outputs/tables/**/run.yaml")
    kept.write_text(kept.read_text().replace("format:", "was:"))
    with pytest.raises(SystemExit, match=r"run\.yaml is of another version"):
        table(JOB)


def test_a_word_means_the_row_of_that_name_or_all_that_hold_it():
    assert rows("methods", ["voc_54_mllc"]) == ["methods/voc_54_mllc"]
    held = rows("methods", ["mllc_anchors", "camvid_all"])
    assert "methods/voc_54_mllc_anchors_lite2" in held and "methods/voc_54_mllc" not in held
    assert len(held) > 4
    with pytest.raises(SystemExit, match="no row is called so, or holds the word: voc_45"):
        rows("methods", ["voc_54_mllc", "voc_45"])


def test_rows_are_those_of_tables():
    assert "methods/voc_54_mllc" in rows("methods") and "layers/voc_gat" in rows("layers")


@pytest.mark.parametrize(
    "script, arguments, message",
    [
        (main, ["methods", "--held-out"], "--held-out needs --csv"),
        (main, ["methods", "--rows", "voc_45"], "no row is called so, or holds the word: voc_45"),
        (main, ["methods", "--set", "a"], "expected option=value, or option=value,value, got a"),
        (main, ["methods", "--seeds"], "expected at least one argument"),
        (lambda: data_root("k7"), [], "a row's name begins with its data set, one of camvid, voc"),
        (tables.main, ["metods"], "metods.csv is not there"),
        (tables.main, ["methods", "--rows", "voc_45"], "holds the word: voc_45"),
        (tables.main, ["methods", "--csv", f"{METHODS}/strides.csv"], "which --changed prints"),
        (evaluate.main, ["voc_45"], "holds the word: voc_45"),
        (search.main, ["supervized"], "there is no search of supervized, only of supervised"),
    ],
)
def test_what_is_not_there_is_told(script, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script", *arguments])
    with pytest.raises(SystemExit) as stop:
        script()
    assert stop.value.code and message in f"{stop.value.code} {capsys.readouterr().err}"


def test_options_given_twice_are_both_taken(monkeypatch):
    taken = []
    monkeypatch.setattr("experiments.run.run", lambda jobs, *rest: taken.extend(jobs))
    words = "methods --rows voc_54_mllc --rows voc_54_unimatch --seeds 0 --seeds 1 --set a.b=1,2"
    monkeypatch.setattr(sys, "argv", ["script", *words.split(), "--set", "c=[1,2]"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    main()
    assert len(taken) == 8 and {job.overrides for job in taken} == {
        ("a.b=1", "c=[1,2]"), ("a.b=2", "c=[1,2]")
    }  # fmt: skip


@pytest.mark.parametrize(
    "option, values",
    [
        ("a.b=1,2", ["a.b=1", "a.b=2"]),
        ("a=[0.2, 0.8],[0.5,0.5]", ["a=[0.2,0.8]", "a=[0.5,0.5]"]),
        ("a={x:1,y:2}", ["a={x:1,y:2}"]),
        ("a=[[1,2],[3,4]]", ["a=[[1,2],[3,4]]"]),
        ("+a=null", ["+a=null"]),
    ],
)
def test_values_are_told_apart_as_hydra_does(option, values):
    assert choices(option) == values


def test_a_search_takes_no_run_of_another_seed_or_split_or_without_a_rate_for_its_best(
    tmp_path, monkeypatch
):
    steps, row = "trainer.max_steps=300 trainer.val_check_interval=300", "methods/voc_54_supervised"
    lines = [
        f"{row},{steps} optimizer.lr=1e-4,0,held_out,30",
        f"{row},{steps} optimizer.lr=3e-4,1,held_out,40",
        f"{row},{steps},0,held_out,50",
        f"{row},{steps} optimizer.lr=1e-4 model.stride=4,0,held_out,60",
        f"{row},{steps} optimizer.lr=3e-4,0,val,70",
    ]
    head = "config,overrides,seed,split,miou_last"
    (tmp_path / "search.csv").write_text("\n".join([head, *lines]))
    monkeypatch.setattr(search, "HERE", tmp_path)
    assert search.best("voc", "supervised") == ("optimizer.lr=1e-4",)


TO_SEARCH = ("camvid", "unimatch_v2"), ("camvid", "prevmatch")
NOT_SEARCHED = pytest.mark.xfail(raises=KeyError, strict=True, reason="its search is yet to run")


@pytest.mark.parametrize(
    "data, method",
    [
        pytest.param(data, method, marks=[NOT_SEARCHED] * ((data, method) in TO_SEARCH))
        for data, row in search.ROWS.items()
        for method in search.METHODS
        if f"{row}_{method}" in rows("methods")
    ],
)
def test_rows_train_at_the_rate_and_weight_that_their_search_found(data, method):
    name = search.METHODS[method]
    found = {
        tuple(float(option.split("=")[1]) for option in options): miou
        for options, miou in search.searched(data, method).items()
    }
    with composing():
        row = compose("train", [f"experiment={search.ROWS[data]}_{method}"])
    used = (row.optimizer.lr, row.method[name]) if name else (row.optimizer.lr,)
    assert found[used] > max(found.values()) - 1, f"expected {search.best(data, method)}"


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "config,overrides,seed\nmethods/a,,0\nmethods/b"])
def test_a_table_of_others_or_a_line_that_was_cut_is_told(text, tmp_path):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(SystemExit, match=r"table\.csv, line [23], is no line of a run, or was cut"):
        tables.read(tmp_path / "table.csv", [])
