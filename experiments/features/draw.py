"""Draw embeddings of validation pixels in two dimensions, with and without MLLC (Figure 5).

python -m experiments.features.draw

t-SNE of 256 pixels a class, of runs of the table `methods`. Writes `features.png`, and
`features.csv` with how many of the ten nearest embeddings (cosine) are of a pixel's own class.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from torch import Tensor

from experiments.job import Job
from experiments.trained import data_of, key, trained
from pyg_mllc.data import DatasetSpec, to_float
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.io import write_csv
from pyg_mllc.utils.resize import resize_labels

HERE = Path(__file__).parent
CONFIGS = {
    "labeled images only": "methods/voc_54_supervised",
    "FixMatch": "methods/voc_54_fixmatch",
    "MLLC": "methods/voc_54_mllc",
    "MLLC, anchors": "methods/voc_54_mllc_anchors",
}
FIELDS = ("config", "seed", "pixels", "percent_of_own_class", "commit")
EACH, NEAREST = 256, 10


@torch.no_grad()
def embeddings(job: Job) -> tuple[Tensor, Tensor, DatasetSpec]:
    """Return embeddings `(N, D)` of validation pixels, true classes `(N,)`, and the spec."""
    predictor = trained(job, "student")
    splits = data_of(job)
    spec = splits.spec
    features, labels = [], []
    for sample in splits.val:
        maps = predictor.segmenter(to_float(sample["image"])[None]).features
        label = resize_labels(sample["label"][None], maps.shape[-2:])
        features.append(F.normalize(maps, dim=1)[0].flatten(1).T)  # (D, h, w) -> (h * w, D)
        labels.append(label.flatten())
    x, y = torch.cat(features), torch.cat(labels)
    rng = np.random.default_rng(0)
    taken = []
    for c in range(spec.num_classes):
        of_class = np.flatnonzero((y == c).numpy())
        taken.append(rng.permutation(of_class)[:EACH])
    chosen = torch.from_numpy(np.concatenate(taken))
    assert IGNORE not in y[chosen]
    return x[chosen], y[chosen], spec


def own_class(x: Tensor, y: Tensor) -> float:
    """Compute the share of nearest embeddings that have the class of the pixel."""
    nearest = (x @ x.T).fill_diagonal_(-2).topk(NEAREST).indices
    return float((y[nearest] == y[:, None]).float().mean())


def main() -> None:
    """Draw a panel for each run."""
    figure = Figure((12, 4.2), dpi=150, layout="constrained")
    lines = []
    for axis, (title, config) in zip(
        figure.subplots(1, len(CONFIGS)), CONFIGS.items(), strict=True
    ):
        job = Job(config, (), 0)
        x, y, spec = embeddings(job)
        percent = 100 * own_class(x, y)
        lines.append((*key(job), len(x), f"{percent:.2f}", job.commit))
        print(*lines[-1])
        flat = TSNE(metric="cosine", init="random", random_state=0).fit_transform(x.numpy())
        for c, name in enumerate(spec.classes):
            axis.scatter(*flat[y == c].T, s=4, linewidths=0, color=f"C{c}", label=name)
        axis.set(xticks=[], yticks=[], title=f"{title}\n{percent:.1f}% of own class")
    handles = axis.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=7, markerscale=5, frameon=False)
    figure.savefig(HERE / "features.png")
    write_csv(HERE / "features.csv", FIELDS, lines)


if __name__ == "__main__":
    main()
