"""Measure whether labeled pixels of other images correct the labels of a network.

An under-trained network labels 40 unlabeled CamVid images; their truth only scores.

MLLC_DATA=... python -m experiments.anchors.correct

Adds to `anchors.csv` what it lacks.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.job import data_root
from experiments.keep import extend
from experiments.scores import scores
from graphs import AnchorMemory, maps_to_nodes
from pyg_mllc.data import SampleSet, SegmentationDataset, load_dataset, to_float
from pyg_mllc.losses import masked_cross_entropy
from pyg_mllc.methods import Supervised
from pyg_mllc.nn import FrozenFeatures, LabelCorrector, Prediction, Segmenter
from pyg_mllc.training import TrainerConfig, train
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.resize import resize_labels

HERE = Path(__file__).parent
SIZE, CLASSES = (180, 240), 11


class Images:
    """Images with labels, a network's prediction, and features for graphs."""

    def __init__(self, samples: SampleSet, network: Segmenter, encoder: FrozenFeatures) -> None:
        every = list(samples)
        image = to_float(torch.stack([sample["image"] for sample in every]))
        self.label = torch.stack([sample["label"] for sample in every])
        with torch.no_grad():
            parts = [network(batch) for batch in image.split(8)]
            self.prediction = Prediction(*(torch.cat(part) for part in zip(*parts, strict=True)))
        pairs = zip(image.split(8), self.prediction.features.split(8), strict=True)
        self.graph_features = torch.cat([encoder(i, f.shape[-2:], f) for i, f in pairs])


def under_trained(steps: int, seed: int) -> tuple[Images, Images]:
    """Load 23 labeled and 40 unlabeled images, predicted by a network after a few steps."""
    torch.manual_seed(seed)
    network = Segmenter(CLASSES, weights="package")
    encoder = FrozenFeatures(network.feature_dim)
    splits = load_dataset("camvid", data_root("camvid"), labeled=23, size=SIZE, seed=seed, val=2)
    config = TrainerConfig(max_steps=steps, val_check_interval=steps, accelerator="cpu")
    out = Path("outputs/anchors") / f"{steps}_{seed}"
    train(Supervised(network), splits, config, seed=seed, out=out, name="anchors")
    assert isinstance(splits.unlabeled, SegmentationDataset)
    others = splits.unlabeled.images
    drawn = [others[i] for i in np.random.default_rng(seed).permutation(len(others))[:40]]
    masks = [data_root("camvid") / "trainannot" / f"{path.stem}.png" for path in drawn]
    unlabeled = SegmentationDataset(drawn, masks, splits.spec, SIZE)
    network.eval()
    return Images(splits.labeled, network, encoder), Images(unlabeled, network, encoder)


def fill(labeled: Images) -> AnchorMemory:
    """Return all labeled pixels at the size of the prediction, and the image of each."""
    x, image = maps_to_nodes(labeled.graph_features)
    label = resize_labels(labeled.label, labeled.graph_features.shape[-2:]).flatten()
    memory = AnchorMemory(CLASSES, x.size(1), budget=60_000)
    memory.add(x[label != IGNORE], label[label != IGNORE], image[label != IGNORE])
    return memory


def trained(
    labeled: Images, memory: AnchorMemory | None, steps: int = 150, **options: Any
) -> LabelCorrector:
    """Train a corrector on the labeled images, with their own anchors hidden."""
    torch.manual_seed(0)
    corrector = LabelCorrector(CLASSES, 256, learn_blend=True, **options)
    optimizer = torch.optim.AdamW(corrector.parameters(), lr=3e-3, weight_decay=0)
    for _ in range(steps):
        chosen = torch.randperm(len(labeled.label))[:4]
        output = corrector(
            labeled.prediction.logits[chosen],
            labeled.prediction.features[chosen],
            anchors=memory,
            image=chosen if memory else None,
            graph_features=labeled.graph_features[chosen],
        )
        losses = [masked_cross_entropy(p.logits, labeled.label[chosen]) for p in output.rounds]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
    return corrector.eval()


def rows(steps: int, seed: int) -> Iterator[tuple[str, ...]]:
    """Score the labels before and after each kind of correction."""
    labeled, unlabeled = under_trained(steps, seed)
    memory = fill(labeled)
    variants: dict[str, tuple[LabelCorrector, AnchorMemory | None]] = {
        "before": (LabelCorrector(CLASSES, rounds=0), None),
        "rounds": (LabelCorrector(CLASSES), None),
        "rounds, trained": (trained(labeled, None), None),
        "rounds + anchors": (LabelCorrector(CLASSES), memory),
        "rounds + anchors alone (share 1)": (LabelCorrector(CLASSES, anchor_share=1.0), memory),
        "rounds + anchors, trained": (trained(labeled, memory), memory),
        "evidence + rounds": (LabelCorrector(CLASSES, anchor_rule="bayes"), memory),
        "evidence + rounds, trained": (trained(labeled, memory, anchor_rule="bayes"), memory),
    }
    for name, (corrector, anchors) in variants.items():
        logits, features = unlabeled.prediction
        maps = unlabeled.graph_features
        result = corrector.correct(
            logits, features, anchors=anchors, graph_features=maps, size=SIZE
        )
        assert isinstance(result.label, Tensor)
        accuracy, miou = scores(result.label, unlabeled.label, CLASSES)
        yield str(steps), str(seed), name, f"{accuracy:.2f}", f"{miou:.2f}"


def main() -> None:
    """Measure three seeds of a network after 100 steps, and one after 300."""
    runs = (100, 0), (100, 1), (100, 2), (300, 0)
    header = ["steps", "seed", "labels", "accuracy", "miou"]
    work = {(str(steps), str(seed)): partial(rows, steps, seed) for steps, seed in runs}
    extend(HERE / "anchors.csv", header, work)


if __name__ == "__main__":
    main()
