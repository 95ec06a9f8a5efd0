"""Correct the noisy labels of a set of points.

python -m experiments.points.correct
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude
from skimage import data
from torch import Tensor

from experiments.keep import keep
from graphs import nearest_neighbors, propagate, random_walk_norm, semantic_graph

HERE = Path(__file__).parent
POINTS, FLIPPED, TILES, SIDE = 12_000, 0.4, 8, 75
NAMES = ("brick", "grass", "gravel", "coins", "moon")


def point_set(rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Build points on 8 x 8 patches of photographs: positions, features, photographs.

    Returns:
        pos `(N, 2)`, descriptors `(N, 6)`, label `(N,)`.
    """
    tiles = rng.permutation(np.arange(TILES**2) % len(NAMES)).reshape(TILES, TILES)
    photographs = [getattr(data, name)()[:SIDE, :SIDE].astype(np.float32) / 255 for name in NAMES]
    table = np.block([[photographs[t] for t in row] for row in tiles])
    truth = tiles.repeat(SIDE, 0).repeat(SIDE, 1)
    scales = (2, 4, 8)
    looks = [gaussian_filter(table, s) for s in scales]
    looks += [gaussian_filter(gaussian_gradient_magnitude(table, 1), s) for s in scales]
    at = rng.integers(0, TILES * SIDE, (POINTS, 2))
    descriptor = np.stack(looks, -1)[at[:, 0], at[:, 1]]
    descriptor = (descriptor - descriptor.mean(0)) / descriptor.std(0)
    return torch.tensor(at), torch.tensor(descriptor), torch.tensor(truth[at[:, 0], at[:, 1]])


def correct(x: Tensor, label: Tensor, k: int = 20, rounds: int = 5) -> Tensor:
    """Propagate labels between similar points `rounds` times; a fifth of the first label stays."""
    graph = semantic_graph(x, k, metric="l2", affinity=lambda s: (s / 4).exp())
    weight = random_walk_norm(graph.edge_index, graph.edge_weight, len(x))
    z = first = torch.eye(len(NAMES))[label]
    for _ in range(rounds):
        z = 0.2 * first + 0.8 * propagate(graph.edge_index, weight, z)
    return z.argmax(1)


def majority(pos: Tensor, label: Tensor, k: int = 20) -> Tensor:
    """Return the most frequent label of the k nearest points in the plane."""
    near = nearest_neighbors(pos.float(), k, metric="l2").indices
    return torch.eye(len(NAMES))[label][near].sum(1).argmax(1)


def main() -> None:
    """Compare accuracies; write `points.csv` and `points.png`."""
    rng = np.random.default_rng(0)
    pos, looks, truth = point_set(rng)
    wrong = torch.tensor(rng.random(POINTS) < FLIPPED)
    other = (truth + torch.tensor(rng.integers(1, len(NAMES), POINTS))) % len(NAMES)
    noisy = torch.where(wrong, other, truth)
    where = pos / 25  # so that 25 pixels weigh as much as one standard deviation of the looks
    labels = {
        "noisy labels": noisy,
        "majority of 20 nearest points": majority(pos, noisy),
        "graph of looks": correct(looks, noisy),
        "graph of looks and place": correct(torch.cat([looks, where], dim=1), noisy),
    }
    figure = Figure((12, 4.3), dpi=100, layout="constrained")
    right = {name: float((label == truth).float().mean()) for name, label in labels.items()}
    keep(HERE / "points.csv", ("method", "accuracy"), ((n, f"{v:.4f}") for n, v in right.items()))
    for axis, (name, label) in zip(figure.subplots(1, 4), labels.items(), strict=True):
        for c, photograph in enumerate(NAMES):
            points = pos[label == c]
            axis.plot(
                points[:, 1], -points[:, 0], ".", markersize=2, color=f"C{c}", label=photograph
            )
        axis.set(title=f"{name}:\n{right[name]:.1%} right", xticks=[], yticks=[], aspect="equal")
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, markerscale=6)
    figure.savefig(HERE / "points.png")


if __name__ == "__main__":
    main()
