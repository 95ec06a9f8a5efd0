"""Measure each part of the stable form: accuracy, and change of logits under small noise.

MLLC_DATA=path/to/data python -m experiments.stability.parts

Two rounds are published, three make matters worse; scenes and wrong masks of real images, without
anchors and weights. Writes `parts.csv`.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.keep import keep
from experiments.scores import scores
from experiments.stability.inputs import KINDS_OF_SCENES, ROUNDS, Group, scenes, wrong_masks
from experiments.stability.measure import noisy
from graphs import maps_to_nodes, nodes_to_maps
from graphs.maps import pixel_positions
from pyg_mllc.nn.correction_round import CorrectionRound, RoundOptions
from pyg_mllc.nn.label_graph import label_graph

HERE = Path(__file__).parent
PARTS = {  # whether later graphs see both features, weights fall to zero, decisions are ramps
    "published": (False, False, False),
    "both features": (True, False, False),
    "falling weights": (False, True, False),
    "both features, falling weights": (True, True, False),
    "all, the default": (True, True, True),
}


@torch.no_grad()
def correct(z: Tensor, f: Tensor, both: bool, falling: bool, ramps: bool) -> list[Tensor]:
    """Return logits `(1, C, h, w)` of one image after each round."""
    size, pos = z.shape[-2:], pixel_positions(*z.shape[-2:])
    (z, batch), (f, _) = maps_to_nodes(z), maps_to_nodes(f)
    first, rounds = f, []
    step = CorrectionRound(z.size(1), None, RoundOptions(smooth=ramps))
    for r in range(ROUNDS):
        maps = [first, f] if both and r else [f]
        if not falling:  # side by side, so that the cosine is the mean of both
            maps = [torch.cat([F.normalize(m, dim=1) for m in maps], 1)]
        z, f = step(z, f, batch, label_graph(maps, batch, 20, pos, smooth=falling), None)
        rounds.append(nodes_to_maps(z, *size))
    return rounds


def of_group(group: Group, parts: tuple[bool, bool, bool]) -> tuple[list[Tensor], Tensor]:
    """Return labels after each round, and the change of logits of each round and image."""
    labels, apart = [], []
    for z, f in zip(group.logits.split(1), group.features.split(1), strict=True):
        here, moved = correct(z.double(), f.double(), *parts), correct(noisy(z), noisy(f), *parts)
        labels.append(torch.cat([z.argmax(1) for z in here]))
        apart.append([float((a - b).abs().max()) for a, b in zip(here, moved, strict=True)])
    return list(torch.stack(labels, 1)), torch.tensor(apart)


def rows(images: int) -> Iterator[tuple[str, ...]]:
    """Yield a line for each kind of data and each form, with as many images as `groups`."""
    groups = [scenes(*kind, images=images) for kind in KINDS_OF_SCENES]
    groups += [wrong_masks(name, images=images // 2) for name in ("camvid", "voc")]
    for data in dict.fromkeys(group.data for group in groups):
        chosen = [group for group in groups if group.data == data]
        for name, parts in PARTS.items():
            results = [of_group(group, parts) for group in chosen]
            right = [
                [scores(label, g.truth, g.logits.size(1))[0] for label in labels]
                for (labels, _), g in zip(results, chosen, strict=True)
            ]
            accuracy = torch.tensor(right).mean(0).tolist()
            apart = torch.cat([moved for _, moved in results])
            yield (
                data, name, " ".join(f"{v:.2f}" for v in accuracy),
                " ".join(f"{v:.1e}" for v in apart.amax(0).tolist()),
                " ".join(f"{v:.1e}" for v in apart.median(0).values.tolist()),
            )  # fmt: skip


if __name__ == "__main__":
    header = ("data", "form", "accuracy", "largest", "median")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20, help="scenes of each kind, see `groups`")
    keep(HERE / "parts.csv", header, rows(parser.parse_args().images))
