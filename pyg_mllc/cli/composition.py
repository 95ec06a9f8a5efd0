"""Sources of Hydra's configurations: the folder `configs/`, and the rows of its tables.

A table is a file `configs/table/<table>.yaml` with an experiment a line, which
`experiment=<table>/<row>` chooses like a file of `configs/experiment/`:

    voc_rounds_3: {from: ablation/voc_reference, corrector.rounds: 3}

`from` names the experiment that the row starts from. Words without a dot choose an option of a
group (`method: mllc`), as words with an @ do (`evidence@method.memory.evidence: gaussians`); words
with dots set a value.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import hydra
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from pyg_mllc.errors import InputError

if TYPE_CHECKING:
    from pyg_mllc.inference.checkpoint import Config

VERSION = "1.3"  # of Hydra's behavior
GROUP = "experiment/"


@cache
def config_dir() -> Path:
    """Return the folder of configurations, inside the package (wheel) or beside it (checkout).

    Raises:
        InputError: if it is in neither place.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "train.yaml").is_file():
            return folder
    raise InputError(f"there is no folder configs in {package} or beside it; install pyg_mllc anew")


@cache
def experiment_rows() -> "dict[str, Config]":
    """Return the rows of all tables, by their names `<table>/<row>`."""
    rows: dict[str, Config] = {}
    for file in sorted((config_dir() / "table").glob("*.yaml")):
        table = cast("dict[str, Config]", OmegaConf.to_container(OmegaConf.load(file)))
        rows |= {f"{file.stem}/{name}": row for name, row in table.items()}
    return rows


class TableSource(ConfigSource):
    """Rows of tables where Hydra looks for files of `experiment/<table>/`.

    Hydra copies all of its own `ConfigStore` whenever it composes, which would take longer.
    """

    @staticmethod
    def scheme() -> str:
        return "table"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return bool(self.list(config_path, None))

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        return name in self.list(group, ObjectType.CONFIG)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        group = f"{config_path.rstrip('/')}/"
        if not group.startswith(GROUP):
            return []
        names = [f"{GROUP}{row}" for row in experiment_rows()]
        inside = [n.removeprefix(group).partition("/") for n in names if n.startswith(group)]
        kinds = {(n, ObjectType.GROUP if rest else ObjectType.CONFIG) for n, _, rest in inside}
        return sorted(name for name, kind in kinds if results_filter in (None, kind))

    def load_config(self, config_path: str) -> ConfigResult:
        name = config_path.removesuffix(".yaml").removeprefix(GROUP)
        config = OmegaConf.create(_experiment(name, experiment_rows()[name]))
        header: dict[str, str | None] = {"package": "_global_"}
        return ConfigResult(self.provider, self.full_path(), config, header)


class TableSearchPath(SearchPathPlugin):
    """Plugin of Hydra that adds the tables to its search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the tables to the folders.

        Args:
            search_path: that of Hydra, changed in place.
        """
        search_path.append("tables", f"{TableSource.scheme()}://")


def hydra_command(name: str) -> Callable[[Callable[[DictConfig], object]], Callable[[], None]]:
    """Return a decorator for a command, whose options come from a file and the command line.

    Args:
        name: file of options, in the folder of configurations.
    """
    _register_tables()
    return hydra.main(config_path=str(config_dir()), config_name=name, version_base=VERSION)


@contextmanager
def composing() -> Iterator[None]:
    """Make `hydra.compose` find the configurations and all experiments."""
    _register_tables()
    with initialize_config_dir(str(config_dir()), version_base=VERSION):
        yield


@cache
def _register_tables() -> None:
    """Make Hydra look into the tables from now on."""
    for plugin in (TableSource, TableSearchPath):
        Plugins.instance().register(plugin)


def _experiment(name: str, row: "Config") -> "Config":
    """Return what a file of `configs/experiment/` would hold for a row."""
    defaults: list[str | dict[str, str]] = []
    config: Config = {"defaults": defaults, "name": name}
    for key, value in row.items():
        *parents, option = key.split(".")
        if key == "from":
            defaults.insert(0, f"/experiment/{value}")
        elif not parents or "@" in key:  # a group, perhaps at another place than its own
            defaults.append({f"override /{key}": value})
        else:
            part = config
            for parent in parents:
                part = part.setdefault(parent, {})
            part[option] = value
    defaults.append("_self_")
    return config
