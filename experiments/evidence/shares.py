"""Draw mIoU by the number of labeled images: instant, labels alone, FixMatch, and evidence added.

python -m experiments.evidence.shares

Reads `gaussians.csv`, `trained.csv` and the table of the methods; writes `shares.png`. Lines are
means over seeds, areas reach from the smallest to the largest value.
"""

from collections import defaultdict
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from experiments.job import lines_of

HERE = Path(__file__).parent
IMAGES = {"voc": 437, "camvid": 367}  # of all labels
TITLES = {"voc": "VOC, animals", "camvid": "CamVid"}
LINES = {  # color of each
    "instant, rounds": "C1",
    "instant": "C3",
    "labels alone, evidence": "C2",
    "fixmatch": "C0",
    "supervised": "0.4",
}
LABELS = {"fixmatch": "FixMatch", "supervised": "labels alone"}

Points = dict[tuple[str, str], dict[int, list[float]]]
"""mIoU of the seeds, by data set and line, then by number of labeled images."""


def read() -> Points:
    """Read all there is, in percent."""
    points: Points = defaultdict(lambda: defaultdict(list))

    def add(config: str, name: str, value: str) -> None:
        data, labeled, _ = config.split("/")[1].split("_", 2)
        images = IMAGES[data] if labeled == "all" else int(labeled)
        points[data, name][images].append(float(value))

    for line in (*lines_of(HERE / "trained.csv"), *lines_of(HERE.parent / "methods/methods.csv")):
        name = line["config"].rpartition("_")[2]
        plain = line["config"].count("_") == 2 and not line["overrides"]
        if plain and name in LINES and line["split"] == "val":
            add(line["config"], name, line["miou_last"])
    for line in lines_of(HERE / "gaussians.csv"):
        before, *after = line["miou"].split()
        if line["rule"] == "instant":
            add(line["config"], "instant", before)
            add(line["config"], "instant, rounds", after[-1])
        elif line["rule"] in LINES:
            add(line["config"], line["rule"], after[-1])
    return points


def draw(points: Points, path: Path) -> None:
    """Draw a panel for each data set."""
    figure = Figure((9, 3.6), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(TITLES))
    for panel, (data, title) in zip(panels, TITLES.items(), strict=True):
        for name, color in LINES.items():
            values = dict(sorted(points[data, name].items()))
            means = [mean(miou) for miou in values.values()]
            panel.plot(list(values), means, "o-", ms=4, color=color, label=LABELS.get(name, name))
            low, high = ([end(miou) for miou in values.values()] for end in (min, max))
            panel.fill_between(list(values), low, high, color=color, alpha=0.15, lw=0)
        images = sorted({n for name in LINES for n in points[data, name]})
        panel.set_xscale("log")
        panel.set_xticks(images, [str(n) for n in images], minor=False)
        panel.minorticks_off()
        panel.set(title=title, xlabel="labeled images", ylabel="mIoU (%)")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5,
                  fontsize=8, frameon=False)  # fmt: skip
    figure.savefig(path)


def main() -> None:
    """Draw what was measured."""
    draw(read(), HERE / "shares.png")


if __name__ == "__main__":
    main()
