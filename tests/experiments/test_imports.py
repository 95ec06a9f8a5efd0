from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "experiments").rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_imports(script, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    try:
        import_module(".".join(script.relative_to(ROOT).with_suffix("").parts))
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] in ("experiments", "graphs", "pyg_mllc"):
            raise
        pytest.skip(f"needs {error.name}")
