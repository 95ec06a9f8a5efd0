"""Time a training step of each method, and the part of graphs and rounds in it.

MLLC_DATA=... python -m experiments.benchmarks.steps

CamVid at 180 x 240, 4 + 4 images, EfficientNet-Lite0: seconds a step, as a ratio
to FixMatch's and to MLLC's at stride 8, peak memory, and of MLLC the correction alone (both graphs,
both rounds, for student and teacher, backward too).
"""

from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.measure import measure
from experiments.job import data_root
from experiments.keep import keep
from pyg_mllc.data import Batch, ReadableSet, Splits, infinite_loader, load_dataset, make_batch
from pyg_mllc.methods import MLLC, FixMatch, Method, Supervised, UniMatch
from pyg_mllc.nn import (
    CorrectionMemory,
    FrozenFeatures,
    GaussianEvidence,
    LabelCorrector,
    Prediction,
    Segmenter,
)

HERE = Path(__file__).parent
BATCHES, REPEATS, THREADS = 4, 12, 2
LAYOUT = torch.channels_last  # as training has it

NOW: dict[str, Any] = {"warmup": 0.0, "contrast_from": 0.0}
ANCHORS = partial(CorrectionMemory, anchors=4000)
FROZEN = partial(FrozenFeatures, strides=(8, 16, 32), embedding=False, scale=2.0)
METHODS: dict[str, tuple[Callable[..., Method], dict[str, Any]]] = {
    "supervised": (Supervised, {}),
    "fixmatch": (FixMatch, {}),
    "unimatch": (UniMatch, {}),
    "mllc": (MLLC, NOW),
    "mllc at stride 16": (MLLC, NOW),
    "fixmatch, logits of stride 4": (FixMatch, {}),
    "mllc, logits of stride 4": (MLLC, NOW),
    "mllc, anchors": (MLLC, NOW | {"memory": ANCHORS}),
    "mllc, anchors, frozen features": (
        MLLC,
        NOW | {"memory": partial(ANCHORS, encoder=FrozenFeatures)},
    ),
    "mllc, evidence": (
        MLLC,
        NOW
        | {"memory": partial(CorrectionMemory, evidence=partial(GaussianEvidence, encoder=FROZEN))},
    ),
}


def split() -> Splits:
    """Return the images."""
    return load_dataset("camvid", data_root("camvid"), labeled=46, size=(180, 240))


def load() -> Callable[[], Batch]:
    """Read a batch of 4 + 4 images."""
    splits = split()
    known, rest = (
        iter(infinite_loader(ReadableSet(part), 4, 0))
        for part in (splits.labeled, splits.unlabeled)
    )

    def run() -> Batch:
        return make_batch(next(known), next(rest), LAYOUT)

    return run


def build(name: str) -> Method:
    """Build a method with a network of its own."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    segmenter = Segmenter(
        11,
        weights="package",
        feature_dim=128,
        stride=4 if "stride 4" in name else 8,
        feature_stride=16 if "stride 16" in name else 8,
    )
    method, options = METHODS[name]
    built = method(segmenter, LabelCorrector(11, 128), **options)
    return built.to(memory_format=LAYOUT).train()


def prepare_step(name: str) -> Callable[[], None]:
    """Prepare one step: losses, gradients, optimizer, teacher."""
    method, read = build(name), load()
    method.prepare(split().labeled)
    optimizer = torch.optim.AdamW(method.student.parameters(), lr=1e-4, fused=True)
    batches = cycle([read() for _ in range(BATCHES)])

    def run() -> None:
        optimizer.zero_grad()
        method(next(batches))["loss"].backward()
        optimizer.step()
        method.update()

    return run


def prepare_correction(name: str) -> Callable[[], None]:
    """Prepare all graphs and rounds of a step: student forward and backward, then teacher."""
    student, batch = build(name).student, load()()
    with torch.no_grad():
        z, f = student.segmenter(torch.cat([batch["image"], batch["unlabeled"]]))
    z, f = z.requires_grad_(), f.requires_grad_()

    def run() -> None:
        output = student.correct(Prediction(z, f))
        torch.stack([p.logits.sum() + p.features.sum() for p in output.rounds]).sum().backward()
        with torch.no_grad():
            student.correct(Prediction(z[4:], f[4:]))

    return run


def main() -> None:
    """Measure, print and keep a row for each method."""
    measures = {name: measure(prepare_step, name, repeats=REPEATS) for name in METHODS}
    for name in ("mllc", "mllc at stride 16"):
        measures[f"correction in {name}"] = measure(prepare_correction, name, repeats=REPEATS)
    reading = measure(load, repeats=REPEATS).seconds
    rows = [(name, m.seconds, f"{m.megabytes:.0f}") for name, m in measures.items()]
    rows += [("reading 4 + 4 images", reading, "")]

    def row(name: str, seconds: float, memory: str) -> list[str]:
        ratios = [f"{seconds / measures[base].seconds:.3f}" for base in ("fixmatch", "mllc")]
        return [name, f"{seconds:.3f}", *ratios, memory]

    header = ["part", "seconds", "to_fixmatch", "to_mllc", "peak_mb"]
    keep(HERE / "steps.csv", header, (row(*measured) for measured in rows))


if __name__ == "__main__":
    main()
