"""The command line as `python -m pyg_mllc.cli`, which torchrun starts."""

from pyg_mllc.cli import main

main()
