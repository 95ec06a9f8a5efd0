import subprocess
import sys

CODE = """
import sys, torch_geometric.data, torch_geometric.transforms
before = set(sys.modules)
import graphs
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(new - {"graphs", "torch", "torch_geometric"} - set(sys.stdlib_module_names)))
"""


def test_graphs_imports_torch_and_pyg_only():
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
