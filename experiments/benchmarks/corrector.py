"""A training step of the corrector, forward and backward: against the dense form as published.

B = 10 images of 41 x 41, D = 256, C = 21, two rounds with transforms.

python -m experiments.benchmarks.corrector
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.benchmarks.measure import measure
from experiments.benchmarks.published import class_level_as_published, semantic_as_published
from pyg_mllc.nn import LabelCorrector, trusted
from pyg_mllc.nn.rounds import CorrectionRound

HERE = Path(__file__).parent
B, SIDE, DIM, CLASSES = 10, 41, 256, 21


def inputs() -> tuple[Tensor, Tensor]:
    """Logits and features: blobs with noise."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(SIDE**2) * 40 // SIDE**2 % CLASSES
    center = torch.randn(CLASSES, DIM, generator=generator)
    f = center[truth] + torch.randn(B, SIDE**2, DIM, generator=generator)
    z = 3 * torch.eye(CLASSES)[truth] + torch.randn(B, SIDE**2, CLASSES, generator=generator)
    return tuple(m.transpose(1, 2).unflatten(2, (SIDE, SIDE)).contiguous() for m in (z, f))


def dense(corrector: LabelCorrector, logits: Tensor, features: Tensor) -> Tensor:
    """The same rounds image by image, with N x N matrices as published; logits of all rounds."""
    out = []
    for z, f in zip(logits.flatten(2), features.flatten(2), strict=True):
        z, f = z.T, f.T
        for step in corrector.rounds:
            z, f = dense_round(step, z, f)
            out.append(z)
    return torch.stack(out)


def dense_round(step: CorrectionRound, z: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    """One round."""
    label = z.detach().argmax(1)
    a = torch.where(trusted(z.detach(), 0.95), 0.2, 0.8)[:, None]
    z = step.class_transform((1 - a) * z + a * (semantic_as_published(f) @ z))
    return z, step.feature_transform(class_level_as_published(z, label) @ f)


def prepare(form: str) -> Callable[[], Any]:
    """A step: forward, a loss of all rounds, backward."""
    logits, features = (m.requires_grad_() for m in inputs())
    torch.manual_seed(0)
    corrector = LabelCorrector(CLASSES, DIM)

    def run() -> tuple[Tensor, Tensor]:
        if form == "LabelCorrector":
            history = corrector(logits, features)[1:]
            z = torch.stack([p.logits.flatten(2).transpose(1, 2) for p in history], 1).flatten(0, 1)
        else:
            z = dense(corrector, logits, features)
        loss = F.cross_entropy(z.flatten(0, 1), torch.zeros(z.shape[:2]).long().flatten())
        return z.detach(), torch.autograd.grad(loss, features)[0]

    return run


def main() -> None:
    """Measure, print, and write `corrector.csv`."""
    ours = measure(prepare, "LabelCorrector", repeats=5)
    theirs = measure(prepare, "dense as published", repeats=2)
    first = [torch.cat(tuple(it.result[0][::2])) for it in (ours, theirs)]
    difference = (first[0] - first[1]).abs().amax(1)
    with open(HERE / "corrector.csv", "w", newline="") as file:
        writer = csv.writer(file)
        header = ["form", "seconds", "megabytes", "times_slower", "pixels_that_differ"]
        writer.writerow(header)
        for name, it in (("LabelCorrector", ours), ("dense as published", theirs)):
            row = [name, f"{it.seconds:.3f}", f"{it.megabytes:.0f}"]
            row += [f"{it.seconds / ours.seconds:.1f}", int((difference > 1e-4).sum())]
            writer.writerow(row)
            print(*row, sep="  ", flush=True)


if __name__ == "__main__":
    main()
