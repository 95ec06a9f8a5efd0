from pyg_mllc.cli.quoting import quoted
from pyg_mllc.cli.run_folder import kept_options


def test_changes_at_resume_are_read_as_hydra_reads_them(tmp_path):
    (tmp_path / "run.yaml").write_text(
        "data: {cache: null}\ntrainer: {loggers: [csv, tensorboard], progress: true, workers: 0}\n"
    )
    given = ["data.cache=/tmp/it's here/c", "trainer.loggers=[csv]", "trainer.progress=false"]
    kept = kept_options(tmp_path, [*map(quoted, given), "trainer.workers=2"])
    assert kept == {
        "data": {"cache": "/tmp/it's here/c"},
        "trainer": {"loggers": ["csv"], "progress": False, "workers": 2},
    }
