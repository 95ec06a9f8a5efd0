"""The command line. Hydra enters here and nowhere else."""

import os
import platform
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from pyg_mllc.errors import InputError

USAGE = """mllc <command> [option=value ...]

commands:
  train   train a network from labeled and unlabeled images, and write a report

examples:
  mllc train experiment=demo
  mllc train experiment=camvid data.root=path/to/camvid trainer.max_steps=60
  mllc train --help            all options of a command
"""


@hydra.main(config_path="configs", config_name="train", version_base="1.3")
def train(cfg: DictConfig) -> float:
    """Train what `cfg` says, and its baseline if it names one; return the last mIoU."""
    import lightning as L
    import rich
    import torch

    from pyg_mllc.report import comparison_table, write_report
    from pyg_mllc.training import examples
    from pyg_mllc.training import train as fit

    out = Path(HydraConfig.get().runtime.output_dir)
    settings = instantiate(cfg.trainer)
    splits = instantiate(cfg.data)
    methods = {"baseline": cfg.get("baseline"), "method": cfg.method}
    runs = []
    for config in filter(None, methods.values()):
        name = config._target_.rsplit(".", 1)[-1].lower()
        L.seed_everything(cfg.seed, verbose=False)
        segmenter = instantiate(cfg.model)(num_classes=splits.spec.num_classes)
        corrector = instantiate(cfg.corrector)(
            num_classes=splits.spec.num_classes, feature_dim=segmenter.feature_dim
        )
        method = instantiate(config)(segmenter=segmenter, corrector=corrector)
        rich.print(f"[bold]{name}[/]: {len(splits.labeled)} labeled images", end="")
        rich.print(f", {len(splits.unlabeled)} unlabeled" if method.uses_unlabeled else "")
        runs.append(fit(method, splits, settings, cfg.seed, out / name, name))
    rich.print(comparison_table(runs))
    facts = {
        "data": f"{splits.spec.name}: {len(splits.labeled)} labeled, {len(splits.unlabeled)} "
        f"unlabeled, {len(splits.val)} validation images",
        "steps": f"{settings.max_steps} of {settings.batch_size} labeled images"
        f" (+ {settings.unlabeled_batch_size} unlabeled)",
        "seed": str(cfg.seed),
        "encoder": str(cfg.model.encoder),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, "
        f"PyTorch {torch.__version__}, Python {platform.python_version()}",
        "command": "mllc " + " ".join(["train", *HydraConfig.get().overrides.task]),
    }
    report, spec = out / "report.html", splits.spec
    write_report(
        report, str(cfg.name), runs, examples(method, splits), spec.classes, spec.colors, facts
    )
    rich.print(f"report: {report}")
    return runs[-1].last_miou


COMMANDS: dict[str, Callable[[], Any]] = {"train": train}


def main() -> None:
    """Run `mllc`; exit with code 2 and one sentence if what was given cannot be used."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    command = COMMANDS.get(arguments[0])
    if command is None:
        _refuse(f"'{arguments[0]}' is not a command; choose one of: {', '.join(COMMANDS)}")
    # Hydra then raises what went wrong instead of printing it in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [f"mllc {arguments[0]}", *arguments[1:]]
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")  # PyG's, at import
    try:
        command()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        _refuse(sentence)


def _sentence(error: BaseException | None) -> str | None:
    """What to tell the user, if the cause is something the user can mend."""
    hydras = None
    while error is not None:
        if isinstance(error, InputError):
            return str(error)
        if isinstance(error, (HydraException, OmegaConfBaseException)):
            hydras = hydras or str(error).split("Config search path")[0]
        elif hydras is not None:
            hydras = None  # Hydra only passes on an error of the code
        error = error.__cause__
    return hydras and " ".join(hydras.split())


def _refuse(sentence: str) -> None:
    print(f"mllc: {sentence}", file=sys.stderr)
    sys.exit(2)
