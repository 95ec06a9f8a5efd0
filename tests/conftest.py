"""What all tests share: the devices there are, and where the real data lies."""

import gc
import os
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import yaml
from hydra._internal.hydra import Hydra

# Plugins, not modules with doctests: as such, two of one name would clash.
collect_ignore_glob = ["*conftest.py"]

# Hardly anything of what is imported and composed is garbage.
gc.set_threshold(10_000)
# Tests are small: more threads only wait for each other, above all on a busy machine.
torch.set_num_threads(1)

# The suite composes hundreds of configurations in this process. libyaml parses them sooner.
yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Hydra composes each command twice, the first time for `hydra.mode` alone, which nothing here sets.
Hydra.get_mode = lambda *args, **options: None


@pytest.fixture(params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request):
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def real_data():
    root = Path(os.environ.get("MLLC_DATA", ""))
    if not (root / "camvid").is_dir():
        pytest.skip("MLLC_DATA does not name a folder with camvid/ and voc2012/")
    return root


def pytest_collection_finish():
    gc.freeze()  # all modules are imported, and stay


@pytest.fixture(scope="session")
def fork_server():
    """Context of `multiprocessing` whose processes start with the training imported.

    Where there is a GPU, a direct fork of this process could not train.
    """
    if not torch.cuda.is_available():
        return get_context("fork")
    context = get_context("forkserver")
    context.set_forkserver_preload(["pyg_mllc.training", "pyg_mllc.visualization.report"])
    return context
