"""The command line, one command a file. Hydra enters here and nowhere else."""

import os
import sys
from importlib import import_module

from pyg_mllc.cli.sentences import one_sentence, refuse

USAGE = """mllc <command> [option=value ...]

commands:
  train      train a network from labeled and unlabeled images, and write a report
  evaluate   measure a checkpoint on labeled images, before and after correction
  export     bring a checkpoint to ONNX or torch.export, and check it

examples:
  mllc train experiment=demo
  mllc train experiment=camvid data.root=path/to/camvid trainer.max_steps=60
  mllc train resume=outputs/camvid/2026-01-31_12-00-00
  mllc evaluate checkpoint=outputs/.../mllc/best.ckpt data=camvid data.root=path/to/camvid
  mllc export checkpoint=outputs/.../mllc/best.ckpt output=model.onnx
  mllc train --help            all options of a command
"""


COMMANDS = ("train", "evaluate", "export")


def main() -> None:
    """Run `mllc`; exit with code 2 and one sentence if what was given cannot be used."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    name = arguments[0]
    if name not in COMMANDS:
        refuse(f"'{name}' is not a command; choose one of: {', '.join(COMMANDS)}")
    # Hydra then raises what went wrong instead of printing it in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [f"mllc {name}", *arguments[1:]]
    try:
        with one_sentence():
            import_module(f"pyg_mllc.cli.{name}").run()  # only what it needs is imported
    except KeyboardInterrupt:
        refuse("stopped", 130)
