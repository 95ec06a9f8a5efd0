"""Search the learning rate, then the weight of unlabeled images, in the same way for each method.

MLLC_DATA=path/to/data python -m experiments.methods.search --data voc --jobs 2

1/8 of the images labeled, a short training, scored on training images held out for this: of CamVid
the last fifth of each video, of VOC every fifth image; the validation split is not looked at. Adds
to `search.csv` and prints what is best.
"""

import argparse
from pathlib import Path

from experiments.job import Job, lines_of, rows
from experiments.run import run

HERE = Path(__file__).parent
METHODS = {
    "supervised": None,
    "fixmatch": "lambda_u",
    "unimatch": "lambda_u",
    "unimatch_v2": "lambda_u",
    "prevmatch": "lambda_u",
    "mllc": "lambda_clg",
    "mllc_anchors": "lambda_clg",
    "mllc_bayes_teacher_views_uniform": "lambda_clg",
    "fixmatch_bayes": "lambda_u",
}
RATES = {"camvid": ("3e-4", "1e-3", "3e-3"), "voc": ("3e-5", "1e-4", "3e-4")}
WEIGHTS = ("0.3", "1", "3")
ROWS = {"camvid": "methods/camvid_46", "voc": "methods/voc_54"}
STEPS = {"camvid": 400, "voc": 300}
SIZES = {"camvid": ("model.stride=8", "model.feature_stride=16"), "voc": ()}  # of maps


def budget(data: str) -> tuple[str, ...]:
    """Return options of all runs of a search."""
    return f"trainer.max_steps={STEPS[data]}", f"trainer.val_check_interval={STEPS[data]}"


def searched(data: str, method: str) -> dict[tuple[str, ...], float]:
    """Return mIoU (%) of a method's runs so far, by rate and weight; ignore other runs."""
    shared, names = {*budget(data), *SIZES[data]}, {"optimizer.lr", f"method.{METHODS[method]}"}
    runs = {}
    for line in lines_of(HERE / "search.csv"):
        overrides = line["overrides"].split()
        own = tuple(option for option in overrides if option not in shared)
        set_by = {option.split("=")[0] for option in own}
        matches = (line["config"], line["seed"]) == (f"{ROWS[data]}_{method}", "0")
        matches &= shared <= set(overrides) and {"optimizer.lr"} <= set_by <= names
        if matches and line["split"] == "held_out":
            runs[own] = float(line["miou_last"])
    return runs


def best(data: str, method: str) -> tuple[str, ...]:
    """Return rate and weight of a method's best run so far."""
    runs = searched(data, method)
    return max(runs, key=lambda own: runs[own])


def main() -> None:
    """Search the rates, then the weights at the best rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", help=f"of {' '.join(METHODS)}; by default all")
    parser.add_argument("--data", choices=list(ROWS), default="camvid")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument(
        "--networks", action="store_true", help="train what the CSV holds, too, if it is not here"
    )
    args = parser.parse_args()
    data = args.data
    there = [name for name in METHODS if f"{ROWS[data]}_{name}" in rows("methods")]
    methods = args.methods or there
    if unknown := set(methods) - set(there):
        parser.error(f"there is no search of {', '.join(unknown)}, only of {', '.join(there)}")

    def job(method: str, rate: str, weight: str = "1") -> Job:
        name = METHODS[method]
        weights = [f"method.{name}={weight}"] if name else []
        options = (*budget(data), *SIZES[data], rate, *weights)
        return Job(f"{ROWS[data]}_{method}", options, 0, held_out=True)

    path = HERE / "search.csv"
    jobs = [job(method, f"optimizer.lr={rate}") for rate in RATES[data] for method in methods]
    run(jobs, path, args.jobs, args.networks)
    jobs = [
        job(method, best(data, method)[0], weight)
        for weight in WEIGHTS
        for method in methods
        if METHODS[method]
    ]
    run(jobs, path, args.jobs, args.networks)
    for method in methods:
        print(method, *best(data, method))


if __name__ == "__main__":
    main()
