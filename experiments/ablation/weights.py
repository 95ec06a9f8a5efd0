"""Draw mIoU over the weights of the losses (the paper's Figure 3), from `ablation.csv`.

python -m experiments.ablation.weights
"""

from pathlib import Path

from matplotlib.figure import Figure

from experiments.table import read

HERE = Path(__file__).parent
WEIGHTS = {  # rows by value; the reference has the value of the paper
    "lambda_clg, of the teacher's labels": {
        0.3: "voc_lambda_clg_0_3",
        1.0: "voc_reference",
        3.0: "voc_lambda_clg_3_0",
    },
    "lambda_slg, of the contrast": {
        0.01: "voc_lambda_slg_0_01",
        0.1: "voc_reference",
        1.0: "voc_lambda_slg_1_0",
    },
}


def main() -> None:
    """Draw `weights.png`."""
    runs = read(HERE / "ablation.csv", [])
    figure = Figure((8, 3.2), dpi=120, layout="constrained")
    for axis, (weight, rows) in zip(
        figure.subplots(1, 2, sharey=True), WEIGHTS.items(), strict=True
    ):
        points = [(value, run) for value, row in rows.items() for run in runs[row]]
        values = [value for value, _ in points]
        labels = [[float(miou) for miou in run["label_miou"].split()] for _, run in points]
        axis.plot(values, [float(run["miou_last"]) for _, run in points], "o-", label="student")
        axis.plot(values, [r[0] for r in labels], ".:", label="teacher's labels, before correction")
        axis.plot(values, [r[-1] for r in labels], "^--", label="teacher's labels, after round 2")
        axis.set(xscale="log", xlabel=weight, xticks=values, xticklabels=map(str, values))
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("mIoU (%)")
    figure.axes[0].set_ylim(34, 39)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    figure.savefig(HERE / "weights.png")


if __name__ == "__main__":
    main()
