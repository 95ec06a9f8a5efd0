"""Correct an image of 1024 x 2048 at stride 4 (131,072 pixels, 256-d, 19 classes) in one call.

MLLC_DATA=... python -m experiments.benchmarks.whole_image
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.embeddings import predict
from experiments.benchmarks.measure import measure
from experiments.keep import keep
from pyg_mllc.nn import LabelCorrector

HERE = Path(__file__).parent
CLASSES = 19


def prepare(rounds: int) -> Callable[[], Any]:
    """Enlarge a CamVid image, and compute embeddings by a network trained on CamVid."""
    prediction, _ = predict(256, 512)
    extra = CLASSES - prediction.logits.size(1)  # classes that are never predicted
    logits = torch.nn.functional.pad(prediction.logits, (0, 0, 0, 0, 0, extra), value=-5.0)
    corrector = LabelCorrector(CLASSES, rounds=rounds)

    @torch.no_grad()
    def run() -> float:
        after = corrector(logits, prediction.features).logits.argmax(1)
        return float((after != logits.argmax(1)).float().mean())

    return run


def _row(rounds: int) -> tuple:
    it = measure(prepare, rounds, repeats=1, warmup=False)
    return rounds, 256 * 512, f"{it.seconds:.1f}", f"{it.megabytes:.0f}", f"{it.result:.4f}"


def main() -> None:
    """Measure, print, and write `whole_image.csv`."""
    header = ["rounds", "pixels", "seconds", "megabytes", "share_changed"]
    keep(HERE / "whole_image.csv", header, map(_row, (1, 2)))


if __name__ == "__main__":
    main()
