"""Measure the cost of correction by each layer, forward and backward, against the affinity.

python -m experiments.layers.cost

B = 8 images of 12 x 12 nodes, D = 256, C = 7, two rounds, as in a step of the rows of this table
(192 x 192 at stride 16). Writes `cost.csv`: seconds, times the affinity's, and weights. The
affinity is measured again at the end, and that as the last line. Run it on an idle machine.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from experiments.benchmarks.measure import measure
from experiments.keep import keep
from pyg_mllc.nn import LabelCorrector

HERE = Path(__file__).parent
IMAGES, SIDE, DIM, CLASSES = 8, 12, 256, 7
LAYERS = (
    "affinity", "GCNConv", "GATConv", "GATv2Conv", "SAGEConv", "GINConv", "TransformerConv",
    "TAGConv", "affinity",
)  # fmt: skip


def create(layer: str) -> LabelCorrector:
    """Build a corrector that passes labels and features by a layer."""
    return LabelCorrector(CLASSES, DIM, conv=layer, feature_conv=layer)


def prepare(layer: str) -> Callable[[], None]:
    """Prepare the correction of a batch and its gradients."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    corrector = create(layer)
    logits = torch.randn(IMAGES, CLASSES, SIDE, SIDE, requires_grad=True)
    features = torch.randn(IMAGES, DIM, SIDE, SIDE, requires_grad=True)

    def step() -> None:
        rounds = corrector(logits, features).rounds
        loss = sum(p.logits.square().mean() + p.features.square().mean() for p in rounds)
        loss.backward()

    return step


def rows() -> Iterator[tuple]:
    """Measure each layer."""
    base = 0.0
    for layer in LAYERS:
        seconds = measure(prepare, layer, repeats=15).seconds
        base = base or seconds
        weights = sum(p.numel() for p in create(layer).parameters())
        yield layer, f"{seconds:.4f}", f"{seconds / base:.2f}", weights


if __name__ == "__main__":
    keep(HERE / "cost.csv", ("layer", "seconds", "times_affinity", "weights"), rows())
