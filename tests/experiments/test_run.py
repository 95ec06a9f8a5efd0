"""A table is filled run by run, and goes on where it was stopped."""

import csv
import shutil
import sys

import pytest

from experiments import table as tables
from experiments.methods import evaluate, search
from experiments.run import Job, main, rows, run

TINY = (
    "model.encoder=test_resnet", "model.weights=null", "model.feature_dim=8", "model.width=16",
    "data.size=[32,48]", "data.val=2", "trainer.max_steps=1", "trainer.accelerator=cpu",
)  # fmt: skip
JOB = Job("methods/camvid_46_supervised", TINY, 0)


@pytest.fixture(scope="module")
def trained(real_data, tmp_path_factory):
    """A folder in which the job has been trained: the line of its table, and its network."""
    folder, root = tmp_path_factory.mktemp("trained"), real_data.absolute() / "camvid"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run([JOB], folder / "table.csv", 1, {"camvid": root})
    return folder


@pytest.fixture
def table(real_data, tmp_path, monkeypatch):
    """A function that fills a table, and gives its lines."""
    root = real_data.absolute() / "camvid"
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "new folder" / "table.csv"

    def fill(*jobs, networks=False):
        run(list(jobs), path, 1, {"camvid": root}, networks)
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


def test_a_run_that_fails_says_where_to_look(table, trained, tmp_path):
    shutil.copytree(trained / "outputs", "outputs")  # its line is still to be written
    bad = JOB._replace(overrides=(*TINY, "method.decay=2"))
    with pytest.raises(SystemExit, match=r"1 runs failed: .*log\.txt ends with: .*decay"):
        table(bad, JOB)
    assert [line["overrides"] for line in table()] == [" ".join(TINY)]  # the other one is there
    [log] = tmp_path.glob("outputs/tables/**/*decay-2*/seed0/log.txt")
    assert "decay" in log.read_text()


def test_a_run_of_other_images_or_options_is_not_taken_for_this_one(table, trained, tmp_path):
    shutil.copytree(trained / "outputs", "outputs")
    with pytest.raises(SystemExit, match="trained on other images than"):
        run([JOB], tmp_path / "other.csv", 1, {"camvid": tmp_path})
    [kept] = tmp_path.glob("outputs/tables/**/run.yaml")  # as if the row's file had changed since
    kept.write_text(kept.read_text().replace("stride: 4", "stride: 8"))
    with pytest.raises(SystemExit, match=r"trained with model\.stride=8, .* has 4 now"):
        table(JOB)


def test_a_word_means_the_row_of_that_name_or_all_that_hold_it():
    assert rows("methods", ["voc_54_mllc"]) == ["methods/voc_54_mllc"]
    held = rows("methods", ["mllc_anchors", "camvid_all"])
    assert "methods/voc_54_mllc_anchors_lite2" in held and "methods/voc_54_mllc" not in held
    assert len(held) > 4 and not rows("methods", ["nothing is called so"])


def test_rows_are_files():
    assert "methods/voc_54_mllc" in rows("methods") and "layers/voc_gat" in rows("layers")


@pytest.mark.parametrize(
    "script, arguments, message",
    [
        (main, ["methods", "--held-out"], "--held-out needs --csv"),
        (main, ["methods", "--rows", "voc_45"], "no rows are called so: methods voc_45"),
        (tables.main, ["metods"], "metods.csv is not there"),
        (tables.main, ["methods", "--rows", "voc_45"], "no rows that are called so: voc_45"),
        (evaluate.main, ["voc_45"], "no rows of methods are called so: voc_45"),
    ],
)
def test_what_is_not_there_is_told(script, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script", *arguments])
    with pytest.raises(SystemExit) as stop:
        script()
    assert stop.value.code and message in f"{stop.value.code} {capsys.readouterr().err}"


def test_a_search_takes_no_run_of_another_seed_or_without_a_rate_for_its_best(
    tmp_path, monkeypatch
):
    steps, row = "trainer.max_steps=300 trainer.val_every=300", "methods/voc_54_supervised"
    lines = [
        f"{row},{steps} trainer.lr=1e-4,0,30",
        f"{row},{steps} trainer.lr=3e-4,1,40",
        f"{row},{steps},0,50",
        f"{row},{steps} trainer.lr=1e-4 model.stride=4,0,60",
    ]
    (tmp_path / "search.csv").write_text("\n".join(["config,overrides,seed,miou_last", *lines]))
    monkeypatch.setattr(search, "HERE", tmp_path)
    assert search.best("voc", "supervised") == ("trainer.lr=1e-4",)
