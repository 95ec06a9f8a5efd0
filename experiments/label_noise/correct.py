"""Correct noisy masks and an under-trained network's predictions, with several correctors.

MLLC_DATA=... python -m experiments.label_noise.correct

Adds to `label_noise.csv` what it lacks. With `--seconds`: time.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.job import data_root
from experiments.keep import extend, keep
from experiments.label_noise import rivals
from experiments.label_noise.noise import KINDS
from experiments.scores import scores
from graphs import AnchorMemory, join_features
from pyg_mllc.data import Sample, load_dataset, textures, to_float
from pyg_mllc.data.splits import Splits
from pyg_mllc.inference.mask_corrector import MaskCorrector
from pyg_mllc.methods import Supervised
from pyg_mllc.nn import LabelCorrector, Segmenter, label_logits
from pyg_mllc.training import TrainerConfig, train
from pyg_mllc.typing import IGNORE

HERE = Path(__file__).parent
DATA = ["camvid", "textures"]
SIZE, IMAGES = (96, 128), 8
BELIEF = 0.8  # that a pixel of a mask is right


class Case(NamedTuple):
    """Image to correct."""

    image: Tensor  # (3, H, W), 0 to 255
    truth: Tensor  # (H, W)
    features: Tensor  # (D, H, W), frozen features
    logits: Tensor  # (C, H, W), what an under-trained network says


class Setting:
    """Data set with labeled images as anchors, and an under-trained network."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        if name == "camvid":
            root = data_root("camvid")
            self.splits: Splits = load_dataset("camvid", root, labeled=23, size=SIZE, val=IMAGES)
        else:
            self.splits = textures(labeled=8, unlabeled=0, val=IMAGES, size=SIZE)
        self.classes = self.splits.spec.num_classes
        self.network = Segmenter(self.classes, weights="package")
        self.frozen = Segmenter(self.classes, weights="package").eval()
        out = Path("outputs/label_noise") / name
        config = TrainerConfig(max_steps=60, val_check_interval=60, accelerator="cpu")
        train(Supervised(self.network), self.splits, config, seed=0, out=out, name=name)
        self.network.eval()
        self.labeled = [self.case(s) for s in self.splits.labeled]
        self.cases = [self.case(s) for s in self.splits.val]
        self.told = torch.empty(0)  # what is said of the anchors, under the noise at hand
        self.memory = AnchorMemory(self.classes, len(self.cases[0].features), budget=40_000)
        for number, case in enumerate(self.labeled):
            x, label = case.features[:, ::4, ::4].flatten(1).T, case.truth[::4, ::4].flatten()
            self.memory.add(x[label != IGNORE], label[label != IGNORE], number)

    def opinion(self, kind: str, share: float) -> Tensor:
        """Return noisy logits `(M, C)` for the anchors, from the same source as the labels."""
        rng, c = np.random.default_rng(2), self.classes
        told = AnchorMemory(c, c, budget=40_000)  # of the same seed: keeps the same nodes
        for number, case in enumerate(self.labeled):
            z, label = noisy_logits(case, kind, share, rng, c), case.truth[::4, ::4].flatten()
            told.add(z[:, ::4, ::4].flatten(1).T[label != IGNORE], label[label != IGNORE], number)
        return told.x

    @torch.no_grad()
    def case(self, sample: Sample) -> Case:
        """Build the inputs of correction for a sample."""
        image = to_float(sample["image"])[None]
        stages = self.frozen.encode(image)[1:4]
        first = F.interpolate(stages[0], SIZE, mode="bilinear")  # the others follow its size
        features = join_features([first, *stages[1:]])[0]
        logits = F.interpolate(self.network(image).logits, SIZE, mode="bilinear")[0]
        return Case(sample["image"], sample["label"], features, logits)


def noisy_logits(case: Case, kind: str, share: float, rng: np.random.Generator, c: int) -> Tensor:
    """Return logits `(C, H, W)` of a wrong mask, or the network's logits."""
    if kind == "network":
        return case.logits
    image = case.image.permute(1, 2, 0).numpy()
    mask = torch.from_numpy(KINDS[kind](case.truth.numpy(), image, share, rng))
    return label_logits(mask, c, BELIEF).permute(2, 0, 1)


def trained(setting: Setting, anchors: AnchorMemory | None, steps: int = 150) -> LabelCorrector:
    """Train a corrector on crops of the labeled images, with all kinds of noise."""
    torch.manual_seed(0)
    rng, c = np.random.default_rng(0), setting.classes
    dim = len(setting.labeled[0].features)
    corrector = LabelCorrector(c, dim, learn_blend=True, anchor_share=0.2)
    optimizer = torch.optim.AdamW(corrector.parameters(), lr=3e-3, weight_decay=0)
    kinds = [*KINDS, "network"]
    for _ in range(steps):
        parts = []
        for number in rng.choice(len(setting.labeled), 2, replace=False):
            case = setting.labeled[number]
            kind, share = rng.choice(kinds), rng.uniform(0.1, 0.4)
            z = noisy_logits(case, kind, share, rng, c)
            top, left = rng.integers(SIZE[0] // 2), rng.integers(SIZE[1] // 2)
            crop = (..., slice(top, top + SIZE[0] // 2), slice(left, left + SIZE[1] // 2))
            parts.append((z[crop], case.features[crop], case.truth[crop], torch.tensor(number)))
        z, features, truth, number = (torch.stack(part) for part in zip(*parts, strict=True))
        if (truth == IGNORE).all():
            continue
        output = corrector(z.float(), features, anchors=anchors, image=number if anchors else None)
        losses = [F.cross_entropy(p.logits, truth, ignore_index=IGNORE) for p in output.rounds]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
    return corrector.eval()


def methods(setting: Setting) -> dict[str, Callable[[Tensor, Case], Tensor]]:
    """Return functions from logits `(C, H, W)` to corrected labels `(H, W)`, by name."""
    c, memory = setting.classes, setting.memory

    def ours(make: Callable[[], LabelCorrector], anchors: AnchorMemory | None) -> Callable:
        made = cache(make)  # at the first image, for some must be trained

        def run(z: Tensor, case: Case) -> Tensor:
            return made().correct(z[None], case.features[None], anchors=anchors).label[0]

        return run

    def nodes(case: Case) -> Tensor:
        return case.features.flatten(1).T

    @cache
    def densities() -> MaskCorrector:
        corrector = MaskCorrector(c, pixels=SIZE[0] * SIZE[1], anchor_rule="gaussians")
        labeled = setting.labeled
        return corrector.fit([case.image for case in labeled], [case.truth for case in labeled])

    def by_densities(z: Tensor, case: Case) -> Tensor:
        if torch.equal(z, case.logits):
            return densities().correct(case.image, z.softmax(0)).label
        mask = z.argmax(0).where(z.any(0), IGNORE)
        return densities().correct(case.image, mask).label

    correctors: dict[str, Callable[[Tensor, Case], Tensor]] = {
        "none": lambda z, case: z.argmax(0),
        "majority 7x7": lambda z, case: rivals.majority(z),
        "dense CRF": lambda z, case: rivals.dense_crf(z, case.image),
        "dense CRF, narrow": lambda z, case: rivals.dense_crf(z, case.image, extent=20),
        "LabelPropagation": lambda z, case: rivals.label_propagation(z, nodes(case)),
        "LabelPropagation + anchors": lambda z, case: rivals.label_propagation(
            z, nodes(case), memory
        ),
        "CorrectAndSmooth + anchors": lambda z, case: rivals.correct_and_smooth(
            z, nodes(case), memory, setting.told
        ),
        "LabelCorrector": ours(partial(LabelCorrector, c), None),
        "LabelCorrector, semantic level": ours(partial(LabelCorrector, c, levels="semantic"), None),
        "LabelCorrector + anchors": ours(partial(LabelCorrector, c), memory),
        "LabelCorrector + anchors, a fifth": ours(
            partial(LabelCorrector, c, anchor_share=0.2), memory
        ),
        "LabelCorrector + anchors, Bayes": ours(
            partial(LabelCorrector, c, anchor_rule="bayes"), memory
        ),
        "MaskCorrector + Gaussians": by_densities,
        "LabelCorrector, trained": ours(partial(trained, setting, None), None),
        "LabelCorrector + anchors, a fifth, trained": ours(
            partial(trained, setting, memory), memory
        ),
    }
    if find_spec("pydensecrf") is None:
        print("left out: the dense CRF, which `pip install pydensecrf2` brings")
        return {name: f for name, f in correctors.items() if "CRF" not in name}
    return correctors


FIELDS = ["data", "noise", "share", "method", "accuracy", "miou", "images"]


def seconds() -> None:
    """Measure seconds per image of 96 x 128, on an otherwise idle machine: `seconds.csv`."""
    setting = Setting("camvid")
    setting.told = setting.opinion("flips", 0.2)
    rng, case = np.random.default_rng(1), setting.cases[0]
    z = noisy_logits(case, "flips", 0.2, rng, setting.classes).float()

    def rows() -> Iterator[tuple[str, str]]:
        for name, correct in methods(setting).items():
            times = []
            for _ in range(6):
                begun = time.perf_counter()
                correct(z, case)
                times.append(time.perf_counter() - begun)
            yield name, f"{np.median(times[1:]):.3f}"

    keep(HERE / "seconds.csv", ("method", "seconds_per_image"), rows())


@lru_cache(maxsize=1)
def noisy(setting: Setting, kind: str, share: float) -> list[Tensor]:
    """Return noisy logits of each image to correct; set equally noisy logits of the anchors."""
    rng = np.random.default_rng(1)
    setting.told = setting.opinion(kind, share)
    return [noisy_logits(case, kind, share, rng, setting.classes).float() for case in setting.cases]


def measure(
    setting: Setting, correct: Callable[[Tensor, Case], Tensor], key: tuple[str, ...]
) -> Iterator[tuple[Any, ...]]:
    """Measure one corrector under one kind of noise; yield its line."""
    _, kind, share, _ = key
    inputs = noisy(setting, kind, float(share))
    labels = [correct(z, case) for z, case in zip(inputs, setting.cases, strict=True)]
    truth = torch.stack([case.truth for case in setting.cases])
    figures = scores(torch.stack(labels), truth, setting.classes)
    yield *key, *(f"{value:.2f}" for value in figures), len(inputs)


def main(sets: list[str]) -> None:
    """Measure each corrector under each kind of noise."""
    noises = [("network", 0.0), *((kind, share) for kind in KINDS for share in (0.1, 0.2, 0.4))]
    for data in sets:
        setting = Setting(data)
        correctors, work = methods(setting), {}
        for kind, share in noises:
            for name, correct in correctors.items():
                key = data, kind, str(share), name
                work[key] = partial(measure, setting, correct, key)
        extend(HERE / "label_noise.csv", FIELDS, work)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", action="store_true", help="measure time, and no labels")
    parser.add_argument("--data", nargs="+", default=DATA, choices=DATA, help="data sets")
    args = parser.parse_args()
    seconds() if args.seconds else main(args.data)
