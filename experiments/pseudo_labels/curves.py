"""Draw the quality of the teacher's labels over training (the paper's Figure 4).

python -m experiments.run pseudo_labels --seeds 0 --networks
python -m experiments.pseudo_labels.curves

Writes `curves.csv`, accuracy and mIoU before correction and after each round, at each validation,
and `curves.png`.
"""

from pathlib import Path

from matplotlib.figure import Figure

from experiments.job import Job, rows
from experiments.trained import file_of
from pyg_mllc.results import Run
from pyg_mllc.writing import write_csv

HERE = Path(__file__).parent
MEASURES = {"label_accuracy": "accuracy (%)", "label_miou": "mIoU (%)"}
STYLES = (":", "--", "-", "-.")


def history(config: str) -> list[dict]:
    """The validations of a run."""
    run = Run.load(file_of(Job(config, (), 0), "result.json"))
    return [row for row in run.history if "miou" in row]


def main() -> None:
    """Write the curves as numbers and as a figure."""
    figure = Figure((9, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots(1, 2)
    lines = []
    for number, config in enumerate(rows("pseudo_labels")):
        found, name = history(config), config.split("voc_")[1].replace("_", " ")
        for axis, (key, unit) in zip(axes, MEASURES.items(), strict=True):
            axis.set(xlabel="training step", ylabel=f"teacher's labels, {unit}")
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
            for r in range(sum(k.startswith(f"{key}_") for k in found[0])):
                values = [100 * row[f"{key}_{r}"] for row in found]
                steps = [row["step"] for row in found]
                label = f"{name}, after round {r}" if r else f"{name}, before correction"
                axis.plot(steps, values, STYLES[r], color=f"C{number}", label=label)
                lines += [
                    (config, key, r, int(s), f"{v:.2f}") for s, v in zip(steps, values, strict=True)
                ]
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(HERE / "curves.png")
    write_csv(HERE / "curves.csv", ("config", "measure", "round", "step", "percent"), lines)


if __name__ == "__main__":
    main()
