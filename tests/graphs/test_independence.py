import subprocess
import sys


def test_graphs_needs_torch_and_pyg_only():
    code = (
        "import graphs, sys;"
        "print({'pyg_mllc', 'timm', 'kornia', 'hydra', 'lightning', 'skimage'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
