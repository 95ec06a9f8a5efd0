import os
import sys
import time
from contextlib import suppress
from pkgutil import resolve_name

import hydra.utils
import pytest
from hydra import compose
from omegaconf import OmegaConf
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pyg_mllc.cli.composition import composing
from pyg_mllc.cli.run_dir import kept_options
from pyg_mllc.cli.train import _train
from pyg_mllc.cli.trusted_config import NAMED, checked_parts, trusted
from pyg_mllc.errors import InputError
from pyg_mllc.inference.checkpoint import FORMAT
from pyg_mllc.utils.instantiate import make

MARK, EVIL = "mark", "open('mark', 'w')"

# What a configuration could be made to call; each makes a file where Hydra builds it.
TRAPS = {
    "os.system": {"command": "touch mark"},
    "os.mkdir": {"path": MARK},
    "os.makedirs": {"name": MARK},
    "os.open": {"path": MARK, "flags": 65},
    "os.symlink": {"src": ".", "dst": MARK},
    "os.mknod": {"path": MARK},
    "posix.system": {"command": "touch mark"},
    "builtins.open": {"file": MARK, "mode": "w"},
    "io.open": {"file": MARK, "mode": "w"},
    "io.FileIO": {"file": MARK, "mode": "w"},
    "codecs.open": {"filename": MARK, "mode": "w"},
    "builtins.exec": {"_args_": [EVIL]},
    "builtins.eval": {"_args_": [EVIL]},
    "subprocess.run": {"args": ["touch", MARK]},
    "subprocess.call": {"args": ["touch", MARK]},
    "subprocess.check_output": {"_args_": [["touch", MARK]]},
    "subprocess.getoutput": {"cmd": "touch mark"},
    "subprocess.Popen": {"args": ["touch", MARK]},
    "runpy.run_path": {"path_name": "evil.py"},
    "timeit.timeit": {"stmt": EVIL, "number": 1},
    "cProfile.run": {"statement": EVIL},
    "shutil.copyfile": {"src": "evil.py", "dst": MARK},
    "shutil.copytree": {"src": "folder", "dst": MARK},
    "shutil.move": {"src": "evil.py", "dst": MARK},
    "os.rename": {"src": "evil.py", "dst": MARK},
    "sqlite3.connect": {"database": MARK},
    "shelve.open": {"filename": MARK},
    "logging.FileHandler": {"filename": MARK},
    "zipfile.ZipFile": {"file": MARK, "mode": "w"},
    "tarfile.open": {"name": MARK, "mode": "w"},
    "gzip.open": {"filename": MARK, "mode": "w"},
    "numpy.save": {"file": MARK, "arr": [1]},
    "numpy.memmap": {"filename": MARK, "mode": "w+", "shape": [1]},
    "torch.save": {"obj": 1, "f": MARK},
    "torch.utils.tensorboard.SummaryWriter": {"log_dir": MARK},
    "omegaconf.OmegaConf.save": {"config": {"a": 1}, "f": MARK},
    "hydra.utils.instantiate": {"config": {"_target_": "os.mkdir", "path": MARK}},
    "builtins.print": {"_args_": [{"_target_": "os.mkdir", "path": MARK}]},
    "builtins.list": {"_args_": [[{"_target_": "os.mkdir", "path": MARK}]]},
    "builtins.dict": {"a": {"b": [{"_target_": "os.mkdir", "path": MARK}]}},
    # What our own modules import, and those of their functions that write files.
    "pyg_mllc.utils.io.os.mkdir": {"path": MARK},
    "pyg_mllc.cli.run_dir.shutil.copyfile": {"src": "evil.py", "dst": MARK},
    "pyg_mllc.data.cache.os.mkdir": {"path": MARK},
    "pyg_mllc.nn.encoders.import_module": {"name": "evil_trap"},
    "pyg_mllc.utils.io.write_csv": {"path": MARK, "header": ["a"], "rows": [[1]]},
    "pyg_mllc.training.trainer.torch.save": {"obj": 1, "f": MARK},
    "evil_trap.Data": {},
}
# Where a configuration may hold them.
PLACES = (
    "data", "data.root", "data.size", "data.classes.deep", "trainer", "trainer.logger",
    "trainer.window", "optimizer", "optimizer.lr", "scheduler", "scheduler.deep", "model",
    "model.options", "model.options.deep", "corrector", "corrector.conv", "method", "method.weak",
    "method.memory", "method.deep_supervision.deep",
    "baseline", "baseline.strong",
)  # fmt: skip


@pytest.fixture(scope="module")
def plain():
    """The options of a run that is harmless."""
    with composing():
        cfg = compose("train", overrides=["method@baseline=supervised", "data.val=1"])
    del cfg.resume
    return OmegaConf.to_container(cfg, resolve=True)


@pytest.fixture
def resume(plain, tmp_path, monkeypatch):
    """Go on with a run whose file a stranger has changed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # the worst case
    monkeypatch.delitem(sys.modules, "evil_trap", raising=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "evil.py").write_text(EVIL)
    (tmp_path / "evil_trap.py").write_text(f"{EVIL}\ndef Data(): pass\n")

    def run(place, value, allow=()):
        cfg = OmegaConf.create(plain)
        OmegaConf.update(cfg, place, value, merge=False, force_add=True)
        (tmp_path / "run.yaml").write_text(f"format: {FORMAT}\n{OmegaConf.to_yaml(cfg)}")
        return _train(kept_options(tmp_path), tmp_path, list(allow), resume=True)

    return run


@pytest.mark.parametrize("number, target", list(enumerate(TRAPS)))
def test_a_strangers_run_builds_nothing_but_its_parts(resume, tmp_path, number, target):
    trap = {"_target_": target, **TRAPS[target]}
    for place in (PLACES[number % len(PLACES)], PLACES[(number + 7) % len(PLACES)]):
        for value in (trap, [trap]) if place.split(".")[-1] in ("size", "logger") else (trap,):
            with pytest.raises(InputError) as caught:
                resume(place, value)
            told = str(caught.value)
            assert place.split(".")[0] in told and "\n" not in told
            assert any(why in told for why in ("allow=[", "means nothing here", "not name files"))
    assert not list(tmp_path.glob(f"{MARK}*"))


@pytest.mark.parametrize("target", TRAPS)
def test_the_trap_is_a_real_one(resume, tmp_path, target):
    trap = {"_target_": target, **TRAPS[target]}
    options = {name: value for name, value in TRAPS[target].items() if name != "_args_"}
    with suppress(Exception):  # Hydra, too, refuses some
        resolve_name(target)(*trap.get("_args_", ()), **options)
    with suppress(Exception):
        hydra.utils.instantiate(trap)
    assert wait_for(tmp_path)


def wait_for(folder):
    """Whether a process that was started makes its file."""
    for _ in range(20):
        if any(os.path.lexists(file) for file in folder.glob(f"{MARK}*")):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    "place, value, told",
    [
        ("data._target_", "${name}", "holds ${...}"),
        ("data._target_", "${oc.env:HOME}", "holds ${...}"),
        ("data.root", "${oc.create:{_target_: os.mkdir, path: mark}}", "holds ${...}"),
        ("data._target_", ["os.system"], "data names ['os.system'], which is no class"),
        ("data._target_", None, "data names None, which is no class"),
        ("data._target_", "pyg_mllc.data.textures ", "which is no class"),
        ("data._target_", "pyg_mllc.data.textures\n", "which is no class"),
        ("data._target_", "pyg_mllc.data.write_partition", "none of pyg_mllc.data.folder, "),
        ("data._target_", "pyg_mllc.data.Textures", "none of pyg_mllc.data.folder, "),
        (
            "data._target_",
            "pyg_mllc.data.textures.textures",
            "none of pyg_mllc.data.folder, ",
        ),
        ("data._args_", [1], "data has the entry '_args_', which means nothing"),
        ("trainer._recursive_", False, "trainer has the entry '_recursive_', which means nothing"),
        (
            "trainer._target_",
            "pyg_mllc.training.train",
            "none of pyg_mllc.training.TrainerConfig",
        ),
        (
            "trainer._target_",
            "pyg_mllc.data.textures",
            "none of pyg_mllc.training.TrainerConfig",
        ),
        ("optimizer._target_", "torch.optim.Nothing", "none of torch.optim.Adadelta, "),
        ("optimizer._target_", "torch.optim.lr_scheduler.StepLR", "none of torch.optim.Adadelta, "),
        ("optimizer._target_", "torch.load", "none of torch.optim.Adadelta, "),
        ("optimizer.params", "x", "optimizer: "),
        (
            "scheduler._target_",
            "torch.optim.AdamW",
            "none of torch.optim.lr_scheduler.ConstantLR, ",
        ),
        ("scheduler._target_", "torch.optim.lr_scheduler.LambdaLR", "allow=[torch]"),
        ("scheduler", "poly", "scheduler=poly is no part of a run"),
        ("method._target_", "torch.nn.Linear", "allow=[torch]"),
        ("method._target_", "evil_trap.Data", "allow=[evil_trap]"),
        ("method", "os.system", "method=os.system is no part of a run"),
        ("data", [1], "data=[1] is no part of a run"),
        ("trainer", {"max_steps": 1}, "trainer={'max_steps': 1} is no part of a run"),
        ("model", None, "model=None is no part of a run"),
    ],
)
def test_odd_entries_of_a_run_get_one_sentence(resume, tmp_path, place, value, told):
    with pytest.raises(InputError) as caught:
        resume(place, value)
    assert told in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.glob(f"{MARK}*"))


@pytest.mark.parametrize(
    "content", ["a: [1", "a: !!python/object/apply:os.mkdir [mark]", "", "- 1", "a: ${"]
)
def test_a_file_that_holds_no_options_gets_one_sentence(mllc, tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.yaml").write_text(content)
    code, _, err = mllc("train", "resume=run")
    assert code == 2 and "run/run.yaml" in err and err.count("\n") == 1, err
    assert not (tmp_path / MARK).exists()


def test_what_a_file_may_name_of_torch_are_optimizers_and_schedulers_of_learning_rates():
    for part, kind in (("optimizer", Optimizer), ("scheduler", LRScheduler)):
        for target in NAMED[part]:
            assert issubclass(resolve_name(target), kind), target


OWN = """
from pyg_mllc.data import textures
from pyg_mllc.methods import Supervised

class Mine(Supervised):
    pass

def scenes(**options):
    return textures(**options)
"""


def test_own_code_of_a_run_is_run_where_the_user_allows_it(resume, tmp_path, plain, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN)
    for place, value in (
        ("method._target_", "own_parts.Mine"),
        ("data._target_", "own_parts.scenes"),
        ("allow", ["own_parts"]),  # in the file, which a stranger may have written
    ):
        monkeypatch.delitem(sys.modules, "own_parts", raising=False)
        cfg = OmegaConf.create(plain)
        OmegaConf.update(cfg, "data._target_", "own_parts.scenes")
        OmegaConf.update(cfg, place, value)
        (tmp_path / "run.yaml").write_text(f"format: {FORMAT}\n{OmegaConf.to_yaml(cfg)}")
        kept = kept_options(tmp_path)
        assert "allow" not in kept
        with pytest.raises(InputError, match=r"pass allow=\[own_parts\]"):
            checked_parts(kept, [])
        assert "own_parts" not in sys.modules
        parts = checked_parts(kept, ["own_parts"])
        assert len(make(parts["data"]).val) == 1


def test_a_users_own_options_allow_the_layers_and_methods_that_they_name(plain):
    cfg = OmegaConf.create(plain)
    assert trusted(cfg) == []
    cfg.corrector.conv = {"_target_": "mine.Layer"}
    cfg.baseline._target_, cfg.data._target_ = "other.deep.Method", "third.data"
    assert trusted(cfg) == ["mine", "other"]  # data sets by allow= alone
    cfg.allow = ["third", "mine"]
    assert trusted(cfg) == ["third", "mine", "other"]


def test_a_word_that_is_no_package_is_refused_where_it_is_given(mllc):
    predict = ["predict", "checkpoint=a", "input=a", "output=b"]
    for command in (["train"], ["data", "check"], predict):
        code, _, err = mllc(*command, "allow=[mine.py]")
        assert code == 2 and "allow=mine.py names no package" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [["train"], ["train", "--help"], ["data", "check"], ["evaluate", "checkpoint=a.ckpt"]],
)
def test_every_command_that_reads_data_builds_data_sets_alone(mllc, tmp_path, command):
    options = ["data=textures", "data._target_=os.mkdir", "+data.path=mark"]
    code, _, err = mllc(*command, *options)
    assert code == 2 and "data names os.mkdir" in err and "allow=[os]" in err, err
    assert err.count("\n") == 1 and not (tmp_path / MARK).exists()
