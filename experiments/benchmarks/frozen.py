"""Time a pass of a frozen encoder, against the plain prediction of a network.

python -m experiments.benchmarks.frozen

One image, EfficientNet-Lite0 for both, one thread; stages of strides 8, 16 and 32 at stride 8. All
forms run in turns in one process. Each figure is the least time that a core spent on a pass, which
other work on the machine disturbs little.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from experiments.keep import keep
from pyg_mllc.nn import FrozenFeatures, Segmenter

HERE = Path(__file__).parent
SIDES, TURNS = (192, 256), 30
FORMS: dict[str, dict[str, Any]] = {
    "scale 1": {},
    "scale 2": {"scale": 2.0},
    "scale 1, mirror": {"mirror": True},
    "scale 2, mirror": {"scale": 2.0, "mirror": True},
}
HEADER = ("side", "form", "milliseconds", "of_the_prediction")


def passes(side: int) -> dict[str, Callable[[], Any]]:
    """Return the prediction of a network for an image, and passes of frozen encoders."""
    image, size = torch.rand(1, 3, side, side), (side // 8, side // 8)
    network = Segmenter(21, weights="package").eval()

    def look(options: dict[str, Any]) -> Callable[[], Any]:
        encoder = FrozenFeatures(0, strides=(8, 16, 32), embedding=False, **options)
        return lambda: encoder(image, size)

    return {"prediction": lambda: network(image)} | {n: look(o) for n, o in FORMS.items()}


@torch.no_grad()
def measure_passes(side: int) -> Iterator[tuple]:
    """Yield the least milliseconds of each pass, and their ratio to those of the prediction."""
    steps = passes(side)
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(TURNS):
        for name, step in steps.items():
            begun = time.process_time()
            step()
            least[name] = min(least[name], time.process_time() - begun)
    for name, seconds in least.items():
        yield side, name, f"{1000 * seconds:.4g}", f"{seconds / least['prediction']:.2f}"


def main() -> None:
    """Measure, print, and write `frozen.csv`."""
    torch.set_num_threads(1)
    keep(HERE / "frozen.csv", HEADER, (row for side in SIDES for row in measure_passes(side)))


if __name__ == "__main__":
    main()
