"""`mllc data check` and `mllc data info`."""

import sys

from pyg_mllc.cli.errors import refuse

USAGE = """mllc data <command>

commands:
  check   read a data set as training would, and tell what would hurt it
  info    list data sets and published protocols, or the classes of one data set

examples:
  mllc data check experiment=folder data.root=path/to/folders
  mllc data check data=camvid data.root=path/to/camvid data.labeled=367
  mllc data info
  mllc data info cityscapes
"""


def run() -> None:
    """Run `mllc data check` or `mllc data info`."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help") or (name == "info" and {"-h", "--help"} & set(rest)):
        print(USAGE, end="")
    elif name == "check":
        from pyg_mllc.cli.data_check import check
        from pyg_mllc.cli.help import print_help

        if {"-h", "--help"} & set(rest):
            return print_help("check", [a for a in rest if not a.startswith("-")])
        sys.argv = ["mllc data check", *rest]
        check()
    elif name == "info":
        from pyg_mllc.cli.data_info import print_classes, print_data_sets

        print_classes(rest[0].removeprefix("data=")) if rest else print_data_sets()
    else:
        refuse(f"'data {name}' is not a command; choose one of: data check, data info")
