import errno
import os

import pytest

from pyg_mllc.cli import run_dir as run_folder
from pyg_mllc.cli.overrides import quoted
from pyg_mllc.cli.run_dir import OccupiedError, alone, kept_options
from pyg_mllc.errors import InputError
from pyg_mllc.inference.checkpoint import FORMAT


def test_changes_at_resume_are_read_as_hydra_reads_them(tmp_path):
    (tmp_path / "run.yaml").write_text(
        f"format: {FORMAT}\ndata: {{cache: null}}\n"
        "trainer: {loggers: [csv, tensorboard], progress: true, workers: 0}\n"
    )
    given = ["data.cache=/tmp/it's here/c", "trainer.loggers=[csv]", "trainer.progress=false"]
    kept = kept_options(tmp_path, [*map(quoted, given), "trainer.workers=2"])
    assert kept == {
        "data": {"cache": "/tmp/it's here/c"},
        "trainer": {"loggers": ["csv"], "progress": False, "workers": 2},
    }


def test_a_run_of_another_version_is_refused_in_one_sentence(tmp_path):
    for line in ("", "format: 99\n"):
        (tmp_path / "run.yaml").write_text(f"{line}seed: 0\n")
        with pytest.raises(InputError, match=r"another version .* such as 0\.1") as caught:
            kept_options(tmp_path)
        assert "\n" not in str(caught.value)


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
