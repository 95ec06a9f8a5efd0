"""Command line, one command per file; Hydra is used here and nowhere else."""

import gc
import logging
import os
import sys
from importlib import import_module
from importlib.metadata import version

from pyg_mllc.cli.errors import one_sentence, refuse
from pyg_mllc.cli.overrides import quoted
from pyg_mllc.cli.threads import share_cores

USAGE = """mllc <command> [option=value ...]

commands:
  train      train a network from labeled and unlabeled images, and write a report
  data       check a data set before training (data check), list known ones (data info)
  predict    label images with a trained network
  correct    find and correct wrong labels in masks or predictions, without any training
  evaluate   measure a trained network on labeled images, before and after correction
  explain    show what a pixel's neighbors are, and how they moved its label
  export     bring a trained network to ONNX or torch.export, and check it

examples:
  mllc train experiment=demo output=outputs/demo
  mllc train experiment=camvid data.root=path/to/camvid trainer.max_steps=60
  mllc data check experiment=folder data.root=path/to/folders
  mllc train resume=outputs/camvid/2026-01-31_12-00-00-123456
  mllc predict checkpoint=outputs/demo/mllc/best.ckpt input=photos output=labeled
  mllc correct input=masks images=photos output=corrected
  mllc evaluate checkpoint=best.ckpt data=camvid data.root=path/to/camvid
  mllc explain checkpoint=outputs/demo/mllc/best.ckpt image=photos/1.jpg pixel=120,80
  mllc export checkpoint=outputs/demo/mllc/best.ckpt output=network.onnx
  mllc <command> --help        all options of a command
"""


COMMANDS = ("train", "data", "predict", "correct", "evaluate", "explain", "export")


def main() -> None:
    """Run `mllc`; exit with code 2 and one sentence if what was given cannot be used."""
    gc.set_threshold(10_000)  # else a seventh of the time of imports goes into collecting nothing
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    if arguments[0] == "--version":
        print(version("pyg_mllc"))
        return
    share_cores()
    name = arguments[0]
    if name not in COMMANDS:
        refuse(f"'{name}' is not a command; choose one of: {', '.join(COMMANDS)}")
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # what it logs, it raises as well
    if name != "data" and {"-h", "--help"} & set(arguments):
        from pyg_mllc.cli.help import print_help

        with one_sentence():
            print_help(name, arguments[1:])
        return
    # Hydra then raises what went wrong instead of printing it in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sweep = {"-m", "--multirun"} & set(arguments)  # where commas have a meaning of their own
    options = [quoted(a) if not sweep or a.startswith("output=") else a for a in arguments[1:]]
    sys.argv = [f"mllc {name}", *options]
    try:
        with one_sentence():
            import_module(f"pyg_mllc.cli.{name}").run()  # only what it needs is imported
    except KeyboardInterrupt as stop:
        refuse(str(stop) or "stopped", 130)
