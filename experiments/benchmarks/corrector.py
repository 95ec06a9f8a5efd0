"""Time a training step of the corrector, against the dense form as published.

B = 10 images of 41 x 41, D = 256, C = 21, two rounds with transforms.

python -m experiments.benchmarks.corrector
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.benchmarks.graphs import inputs as blobs
from experiments.benchmarks.measure import measure
from experiments.benchmarks.published import class_level_as_published, semantic_as_published
from experiments.keep import keep
from graphs import maps_to_nodes
from pyg_mllc.nn import LabelCorrector, trust
from pyg_mllc.nn.correction_round import CorrectionRound

HERE = Path(__file__).parent
B, SIDE, DIM, CLASSES = 10, 41, 256, 21


def inputs() -> tuple[Tensor, Tensor]:
    """Build logits and features without ties, different in each image."""
    z, f, _ = map(torch.stack, zip(*(blobs(SIDE**2, seed) for seed in range(B)), strict=True))
    z, f = (m.transpose(1, 2).unflatten(2, (SIDE, SIDE)).contiguous() for m in (z, f))
    return z, f


def dense(corrector: LabelCorrector, logits: Tensor, features: Tensor) -> list[tuple]:
    """Correct image by image with N x N matrices, as published; return each round `(N, .)`."""
    out = []
    for z, f in zip(logits.flatten(2), features.flatten(2), strict=True):
        rounds = [(z.T, f.T)]
        for step in cast(list[CorrectionRound], corrector.rounds):
            rounds.append(dense_round(step, *rounds[-1]))
        out.append(rounds[1:])
    return [tuple(map(torch.cat, zip(*images, strict=True))) for images in zip(*out, strict=True)]


def dense_round(step: CorrectionRound, z: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    """Compute one round in dense form."""
    label = z.detach().argmax(1)
    a = (0.8 - 0.6 * trust(z.detach(), 0.95, smooth=False))[:, None]
    z = step.class_transform((1 - a) * z + a * (semantic_as_published(f) @ z))
    return z, step.feature_transform(class_level_as_published(z, label) @ f)


def prepare(form: str) -> Callable[[], Any]:
    """Prepare a step: forward, a loss of all rounds, backward."""
    logits, features = (m.requires_grad_() for m in inputs())
    torch.manual_seed(0)
    corrector = LabelCorrector(CLASSES, DIM, smooth=form == "LabelCorrector")

    def run() -> list[Tensor]:
        if form != "dense as published":
            output = corrector(logits, features)
            rounds = [tuple(maps_to_nodes(part)[0] for part in p) for p in output.rounds]
        else:
            rounds = dense(corrector, logits, features)
        target = torch.arange(len(rounds[0][0])) % CLASSES
        losses = [F.cross_entropy(z, target) + f.square().mean() for z, f in rounds]
        torch.autograd.grad(torch.stack(losses).sum(), [logits, features, *corrector.parameters()])
        # In the second round, features that the first made alike tie.
        return [rounds[0][0].detach(), rounds[0][1].detach()]

    return run


def main() -> None:
    """Measure, print, and write `corrector.csv`."""
    ours = measure(prepare, "published form", repeats=5)
    published = measure(prepare, "dense as published", repeats=2)
    smooth = measure(prepare, "LabelCorrector", repeats=5)
    pairs = zip(ours.result, published.result, strict=True)
    difference = max(float((a - b).abs().max()) for a, b in pairs)
    header = ["form", "seconds", "megabytes", "times_slower", "largest_difference"]
    rows = []
    for name, it in (
        ("LabelCorrector, smooth=False", ours),
        ("dense as published", published),
        ("LabelCorrector", smooth),
    ):
        slower = f"{it.seconds / ours.seconds:.1f}"
        apart = "" if it is smooth else f"{difference:.1e}"
        rows.append([name, f"{it.seconds:.3f}", f"{it.megabytes:.0f}", slower, apart])
    keep(HERE / "corrector.csv", header, rows)


if __name__ == "__main__":
    main()
