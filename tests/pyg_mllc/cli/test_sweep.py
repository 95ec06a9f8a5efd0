import csv
import math

import pytest
from omegaconf import OmegaConf

from pyg_mllc.cli.sweep import Job, Sweep, read, spread, table
from pyg_mllc.evaluation.results import TrainingResult

TINY = [
    "model.encoder=test_resnet", "model.weights=null", "model.feature_dim=8", "model.width=16",
    "data.size=[32,48]", "trainer.max_steps=1", "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
    "data.labeled=2", "data.unlabeled=3", "data.val=1",
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("blank_figures")


def lines(folder):
    [file] = folder.rglob("sweep.csv")
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def test_a_table_of_means_over_seeds_and_a_line_for_each_run(mllc, tmp_path):
    code, out, err = mllc("train", "-m", "method=supervised,fixmatch", "seed=0,1", *TINY)
    assert code == 0, err
    assert "sweep: outputs/sweep_" in out and out.count("±") == 4  # last and best of two methods
    found = lines(tmp_path)
    assert [(line["folder"], line["method"], line["seed"]) for line in found] == [
        ("0", "supervised", "0"), ("1", "supervised", "1"),
        ("2", "fixmatch", "0"), ("3", "fixmatch", "1"),
    ]  # fmt: skip
    assert all(line["options"] == f"method={line['method']}" for line in found)
    for line in found:
        [result] = tmp_path.glob(f"outputs/sweep_*/{line['folder']}/*/result.json")
        assert float(line["last_miou"]) == round(TrainingResult.load(result).last_miou, 4)


def test_one_run_that_fails_does_not_stop_the_others(mllc, tmp_path):
    code, out, err = mllc("train", "-m", "method=mllc", "corrector.conv=FooConv,GCNConv", *TINY)
    assert code == 2 and "run 0 failed: corrector: 'FooConv' is not a layer" in err
    assert "corrector.conv=GCNConv" in out.split("last mIoU")[-1] and "sweep.csv" in out
    [line] = lines(tmp_path)
    assert line["options"] == "corrector.conv=GCNConv" and line["folder"] == "1"
    [error] = tmp_path.rglob("error.txt")
    assert error.parent.name == "0" and "'FooConv' is not a layer" in error.read_text()


def test_started_again_a_sweep_goes_on_and_keeps_what_other_options_trained(mllc, tmp_path):
    sweep = ["train", "-m", "method=mllc", "output=mine", *TINY]
    assert mllc(*sweep, "corrector.k=2", "seed=0,1")[0] == 0
    kept = lines(tmp_path)
    assert [(line["options"], line["seed"]) for line in kept] == [("", "0"), ("", "1")]
    (tmp_path / "mine/1/report.html").unlink()  # as if it had been stopped
    code, out, err = mllc(*sweep, "corrector.k=2", "seed=0,1")
    assert code == 0, err
    assert "ended before: mine/0" in out and "going on: mine/1" in out
    assert [line["last_miou"] for line in lines(tmp_path)] == [k["last_miou"] for k in kept]
    code, _, err = mllc(*sweep, "corrector.k=3,4", "seed=5")  # others, which get nobody's figures
    assert code == 2 and "mine/0 holds a run of other options" in err and "run 1 failed" in err
    found = lines(tmp_path)
    assert [line["seed"] for line in found] == ["0", "1"]
    assert {line["options"] for line in found} == {"corrector.k=2"}
    assert found[0]["last_miou"] == kept[0]["last_miou"]


def test_a_sweep_that_is_stopped_says_what_its_runs_were(tmp_path):
    (tmp_path / "0/mllc").mkdir(parents=True)
    (tmp_path / "0/command.txt").write_text("mllc train corrector.rounds=1 optimizer.lr=0.1 seed=0")
    (tmp_path / "0/run.yaml").write_text("seed: 0")
    TrainingResult("mllc", [{"step": 1, "miou": 0.5}], [0.5], [], [], 1.0).save(
        tmp_path / "0/mllc/result.json"
    )
    given = ["corrector.rounds=1,2", "optimizer.lr=0.1", "seed=0"]
    OmegaConf.save({"hydra": {"overrides": {"task": given}}}, tmp_path / "multirun.yaml")
    [job] = read(tmp_path)
    assert job.options == ("corrector.rounds=1",)


def test_what_may_change_in_a_sweep_that_goes_on_makes_no_group_of_its_own(mllc, tmp_path):
    sweep = ["train", "-m", "method=supervised", "output=mine", *TINY]
    assert mllc(*sweep, "seed=0")[0] == 0
    (tmp_path / "mine/0/report.html").unlink()
    code, out, err = mllc(*sweep, "seed=0,1", "trainer.logger=[tensorboard]")
    assert code == 0 and "going on: mine/0" in out, err
    assert [line["options"] for line in lines(tmp_path)] == ["", ""]
    assert list((tmp_path / "mine/0").rglob("events.out.*"))


def test_an_overwritten_run_leaves_no_figures_to_other_options(mllc, tmp_path):
    sweep = ["train", "-m", "output=mine", "seed=0", *TINY]
    assert mllc(*sweep, "method=fixmatch")[0] == 0
    broken = ["method=supervised", "optimizer.lr=1e30", "trainer.max_steps=3", "overwrite=true"]
    assert mllc(*sweep, *broken)[0] == 2
    assert lines(tmp_path) == [] and (tmp_path / "mine/0/error.txt").is_file()


def test_a_sweep_is_not_resumed(mllc, tmp_path):
    code, _, err = mllc("train", "-m", "resume=a,b")
    assert code == 2 and "without --multirun" in err and not list(tmp_path.iterdir())


def test_options_of_the_swept_experiments_alone(mllc):
    sweep = ["train", "-m", "experiment=folder,camvid", "data.root=nowhere"]
    code, _, err = mllc(*sweep)
    assert code == 2 and "data.root" in err and "write ++option=value" in err
    code, _, err = mllc(*sweep[:-1], "++data.root=nowhere")
    assert code == 2 and "nowhere" in err and "option=value" not in err


def test_the_best_group_comes_first():
    def job(options, seed, miou):
        labels = [miou, 0.0, miou / 2]
        run = TrainingResult(
            "mllc", [{"step": 1, "miou": miou}], [math.nan], [], labels, seconds=1.0
        )
        return Job(options, (options,), seed, run)

    jobs = [job("k=5", "0", 0.3), job("k=9", "0", 0.5), job("k=5", "1", 0.4)]
    first, *figures = ([str(cell) for cell in column.cells] for column in table(jobs).columns)
    assert first == ["k=9", "k=5"]
    assert figures[1] == ["1", "2"] and figures[2] == ["50.0", "35.0 ± 7.1"]
    assert figures[-1] == ["50.0 → 25.0", "35.0 → 17.5"]


def test_runs_that_ended_at_the_same_time_are_all_in_the_file(tmp_path):
    for number in range(2):
        folder = tmp_path / str(number)
        (folder / "one").mkdir(parents=True)
        (folder / "command.txt").write_text(f"mllc train seed={number}")
        (folder / "run.yaml").write_text(f"seed: {number}")
        run = TrainingResult("mllc", [{"step": 1, "miou": 0.5}], [0.5], [], [], seconds=1.0)
        run.save(folder / "one/result.json")
    (tmp_path / "sweep.csv").write_text("what a run wrote that had not seen the other\n")
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    Sweep().on_multirun_end(config)
    assert [line["seed"] for line in lines(tmp_path)] == ["0", "1"]


def test_a_single_value_has_no_spread():
    assert spread([0.5]) == "50.0" and spread([0.25, 0.75]) == "50.0 ± 35.4"


def test_a_run_is_read_as_it_was_written(tmp_path):
    history = [{"step": 1.0, "miou": 0.25, "loss": 2.0}]
    run = TrainingResult(
        "mllc", history, [0.5, math.nan], [0.5, 0.625], [0.25, 0.5], 3.0, 0.5, 100.0
    )
    run.save(tmp_path / "result.json")
    again = TrainingResult.load(tmp_path / "result.json")
    assert repr(again) == repr(run)  # NaN is not equal to itself
