"""Complete a disparity map from few, noisy pixels.

python -m experiments.depth.complete
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.interpolate import griddata
from scipy.ndimage import median_filter
from skimage import color, data
from torch import Tensor

from experiments.keep import keep
from graphs import gaussian_affinity, pixel_batch, propagate, random_walk_norm, semantic_graph

HERE = Path(__file__).parent
STEP, KNOWN, NOISE = 4, 0.05, 2.0  # every 4th pixel; 5% known; noise in pixels of disparity


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Load the motorcycle image (Middlebury 2014, in scikit-image) and its true disparity."""
    image, _, disparity = data.stereo_motorcycle()
    return image[::STEP, ::STEP], disparity[::STEP, ::STEP].astype(np.float32)


def complete(image: np.ndarray, sparse: np.ndarray, known: np.ndarray, rounds: int = 200) -> Tensor:
    """Propagate known values on a graph of pixels that are close in color and position.

    Args:
        image: `(h, w, 3)`.
        sparse: `(h, w)`, read where known.
        known: `(h, w)` bool.
        rounds: of propagation.

    Returns:
        `(h, w)`.
    """
    lab = torch.tensor(color.rgb2lab(image) / 10, dtype=torch.float32).permute(2, 0, 1)
    pixels = pixel_batch([lab])
    x = torch.cat([pixels.x, pixels.pos / 3], dim=1)
    graph = semantic_graph(x, k=20, metric="l2", affinity=partial(gaussian_affinity, scale=4.0))
    weight = random_walk_norm(graph.edge_index, graph.edge_weight, len(x))
    value, mask = torch.tensor(sparse).view(-1, 1), torch.tensor(known).view(-1, 1).float()
    # Normalized convolution: what is unknown brings no weight with it, what is known keeps a say.
    total, share = value * mask, mask
    for _ in range(rounds):
        both = propagate(graph.edge_index, weight, torch.cat([total, share], dim=1))
        total, share = (mask * torch.cat([value, mask], 1) + (1 - 0.2 * mask) * both).split(1, 1)
        scale = share.clamp(min=1)
        total, share = total / scale, share / scale
    return (total / share.clamp(min=1e-12)).view(sparse.shape)


def main() -> None:
    """Compare with interpolation; write `depth.csv` and `depth.png`."""
    image, truth = scene()
    valid = np.isfinite(truth)
    rng = np.random.default_rng(0)
    known = valid & (rng.random(truth.shape) < KNOWN)
    noise = rng.normal(0, NOISE, truth.shape).astype(np.float32)
    sparse = np.where(known, np.nan_to_num(truth, posinf=0) + noise, 0).astype(np.float32)
    at = np.argwhere(known)
    everywhere = tuple(np.indices(truth.shape))
    nearest, linear = (
        griddata(at, sparse[known], everywhere, method=m) for m in ("nearest", "linear")
    )
    guesses = {
        "nearest known pixel": nearest,
        "nearest, then 7x7 median": median_filter(nearest, 7),
        "linear interpolation": np.where(np.isnan(linear), nearest, linear),
        "semantic graph": complete(image, sparse, known).numpy(),
    }
    errors = {name: np.abs(guess - truth)[valid & ~known] for name, guess in guesses.items()}
    rows = (
        (name, f"{np.sqrt((error**2).mean()):.2f}", f"{np.median(error):.2f}")
        for name, error in errors.items()
    )
    keep(HERE / "depth.csv", ("method", "rmse", "median_error"), rows)
    shown = {
        "image": image,
        "truth": truth,
        "known (5%)": np.where(known, sparse, np.nan),
        **guesses,
    }
    figure = Figure((12, 4.6), dpi=100, layout="constrained")
    axes = figure.subplots(2, 4)
    for axis, (name, picture) in zip(axes.flat, shown.items(), strict=False):
        drawn = axis.imshow(
            picture, cmap="viridis", vmin=truth[valid].min(), vmax=truth[valid].max()
        )
        axis.set(title=name, xticks=[], yticks=[])
    axes[1, 3].set_axis_off()
    figure.colorbar(drawn, ax=axes, shrink=0.6, label="disparity (pixels)")
    figure.savefig(HERE / "depth.png")


if __name__ == "__main__":
    main()
