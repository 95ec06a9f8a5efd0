import errno
import os

import pytest

from pyg_mllc.cli import run_dir as run_folder
from pyg_mllc.cli.overrides import quoted
from pyg_mllc.cli.run_dir import OccupiedError, alone, kept_options
from pyg_mllc.inference.checkpoint import FORMAT


def test_changes_at_resume_are_read_as_hydra_reads_them(tmp_path):
    (tmp_path / "run.yaml").write_text(
        f"format: {FORMAT}\ndata: {{cache: null}}\noptimizer: {{lr: 0.1}}\n"
        "trainer: {logger: [csv, tensorboard], enable_progress_bar: true, num_workers: 0}\n"
    )
    given = [
        "data.cache=/tmp/it's here/c",
        "trainer.logger=[csv]",
        "trainer.enable_progress_bar=false",
    ]
    kept = kept_options(tmp_path, [*map(quoted, given), "trainer.num_workers=2"])
    assert kept == {
        "data": {"cache": "/tmp/it's here/c"},
        "optimizer": {"lr": 0.1},
        "trainer": {"logger": ["csv"], "enable_progress_bar": False, "num_workers": 2},
    }


def test_a_run_whose_options_had_other_names_is_refused_in_a_sentence(mllc, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/run.yaml").write_text("seed: 0\ntrainer: {lr: 0.1, val_every: 5}\n")
    code, _, err = mllc("train", "resume=out")
    assert code == 2 and err.count("\n") == 1
    assert (
        "out/run.yaml is of another version of pyg_mllc, such as 0.1" in err and "train anew" in err
    )


def test_who_is_refused_leaves_a_folder_as_it_is(mllc, tmp_path):
    (tmp_path / "out").mkdir()
    with alone(tmp_path / "out"), alone(tmp_path / "sweep/0"):
        (tmp_path / "out/run.yaml").write_text("of who trains there")  # as far as it has come
        before = sorted(tmp_path.rglob("*"))
        code, _, err = mllc("train", "output=out", "overwrite=true")
        assert code == 2 and "out is being trained by another process" in err
        assert sorted(tmp_path.rglob("*")) == before
        code, _, err = mllc("train", "--multirun", "output=sweep", "overwrite=true")
        assert code and "sweep/0 is being trained by another process" in err
        assert not (tmp_path / "sweep/0/error.txt").exists()
    with alone(tmp_path / "out"):  # it was let go
        with pytest.raises(OccupiedError), alone(tmp_path / "out"):
            pass


def test_a_disk_without_locks_is_told_and_what_cannot_be_written_refused(
    tmp_path, monkeypatch, capsys
):
    class NoLock:
        def __init__(self, path):
            self.path = path

        def acquire(self, blocking):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(run_folder, "FileLock", NoLock)
    with alone(tmp_path):
        assert "start no second training there" in capsys.readouterr().out
    monkeypatch.undo()
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as failure, alone(tmp_path / "file"):
        pass
    assert failure.value.filename
