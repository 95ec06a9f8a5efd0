"""Compare ways to build the two graphs: time, memory and labels, without training.

python -m experiments.graphs.build

Two published rounds without transforms correct the teacher of a run of the table `methods`
(`python -m experiments.run methods --rows voc_54_mllc --seeds 0 --networks`) on unlabeled images of
384 x 384; embeddings and logits are brought to stride 4, so that an image has 9,216 pixels. Truth,
which training never saw, only scores. Writes `build.csv`. Run it on an idle machine.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.job import Job
from experiments.keep import keep
from experiments.scores import scores
from experiments.trained import trained, unlabeled_with_truth
from graphs import (
    ExactSearch,
    IVFSearch,
    class_graph,
    class_hubs,
    knn_interpolate,
    maps_to_nodes,
    pixel_batch,
    propagate,
    random_walk_norm,
    sample_nodes,
    semantic_graph,
    symmetric_norm,
)
from graphs.sampling import Rule
from pyg_mllc.data import to_float
from pyg_mllc.nn.correction_round import trust
from pyg_mllc.utils.resize import upsample

HERE = Path(__file__).parent
JOB = Job("methods/voc_54_mllc", (), 0)
IMAGES, SIZE, STRIDE = 20, (384, 384), 4


class Way(NamedTuple):
    """Options of the graphs."""

    k: int = 20
    search: Callable = ExactSearch
    partners: int = 0  # drawn per pixel in the class-level graph; 0 takes the hubs, thus all
    rule: Rule = "all"  # which pixels are nodes
    nodes: int = 1  # per image


RULES: tuple[Rule, ...] = ("uniform", "grid", "class", "uncertainty")
WAYS = {
    "as published: k = 20, exact, hubs, all pixels": Way(),
    **{f"k = {k}": Way(k=k) for k in (5, 10, 50)},
    **{f"class level: {p} sampled partners": Way(partners=p) for p in (5, 20, 50)},
    **{
        f"search in cells, {p} probes": Way(search=partial(IVFSearch, nprobe=p)) for p in (4, 8, 16)
    },
    **{
        f"{n} pixels of a {rule} sample": Way(rule=rule, nodes=n)
        for n in (576, 2304)
        for rule in RULES
    },
}


def correct(z: Tensor, f: Tensor, way: Way, rounds: int = 2) -> Tensor:
    """Correct logits `(N, C)` of one image by its features `(N, D)`."""
    for _ in range(rounds):
        label, a = z.argmax(1), (0.8 - 0.6 * trust(z, 0.95, smooth=False))[:, None]
        graph = semantic_graph(f, way.k, search=way.search)
        weight = symmetric_norm(graph.edge_index, graph.edge_weight, len(f))
        z = (1 - a) * z + a * propagate(graph.edge_index, weight, z)
        if way.partners:
            graph = class_graph(z, label, k=way.partners)
            weight = random_walk_norm(graph.edge_index, graph.edge_weight, len(f))
            f = propagate(graph.edge_index, weight, f)
        else:
            f = class_hubs(z, label).propagate(f)
    return z


def sampled(logits: Tensor, features: Tensor, way: Way) -> Tensor:
    """Correct a sample of pixels, and interpolate the others from similar ones."""
    z, f = (maps_to_nodes(maps)[0] for maps in (logits, features))
    confidence, label = z.softmax(1).max(1)
    batch = pixel_batch(features)
    chosen = sample_nodes(batch, way.nodes, way.rule, label=label, uncertainty=1 - confidence)
    after = correct(z[chosen], f[chosen], way)
    return after if way.rule == "all" else knn_interpolate(after, chosen, f)


def images() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield logits `(1, C, h, w)`, features `(1, D, h, w)` and truth `(H, W)` of images."""
    predictor = trained(JOB)
    segmenter = predictor.segmenter
    segmenter.feature_stride = segmenter.stride
    samples, places, _ = unlabeled_with_truth(JOB, IMAGES, size=SIZE)
    size = [n // STRIDE for n in SIZE]
    for i in places:
        sample = samples[i]
        with torch.no_grad():
            prediction = segmenter(to_float(sample["image"])[None])
        logits, features = (
            F.interpolate(maps, size, mode="bilinear")
            for maps in (prediction.logits, prediction.features)
        )
        yield logits, features, sample["label"]


def measure() -> Iterator[tuple[str, ...]]:
    """Score each way to build the graphs."""
    every = list(images())
    truth, classes = torch.stack([label for _, _, label in every]), every[0][0].size(1)

    def labels(give: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        small = [give(z, f).T.unflatten(1, z.shape[-2:])[None] for z, f, _ in every]
        return torch.cat([upsample(z, SIZE).argmax(1) for z in small])

    def score(name: str, give: Callable[[Tensor, Tensor], Tensor]) -> tuple[str, ...]:
        torch.manual_seed(0)
        start = time.perf_counter()
        predicted = labels(give)
        seconds = (time.perf_counter() - start) / IMAGES
        accuracy, miou = (f"{s:.2f}" for s in scores(predicted, truth, classes))
        return name, accuracy, miou, f"{seconds:.3f}"

    yield score("before", lambda z, f: maps_to_nodes(z)[0])
    for name, way in WAYS.items():
        yield score(name, partial(sampled, way=way))


if __name__ == "__main__":
    keep(HERE / "build.csv", ("graphs", "accuracy", "miou", "seconds_per_image"), measure())
