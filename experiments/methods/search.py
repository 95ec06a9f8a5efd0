"""The same small search for each method: its learning rate, then the weight of unlabeled images.

MLLC_DATA=path/to/data python -m experiments.methods.search --jobs 2

CamVid, 46 labeled images, 400 steps. Scored on training frames held out for this, the last fifth of
each video; the validation split is not looked at. Adds to `search.csv` and prints what is best.
"""

import argparse
import csv
import os
from collections import defaultdict
from pathlib import Path

from experiments.run import Job, run

HERE = Path(__file__).parent
METHODS = {
    "supervised": None,
    "fixmatch": "lambda_u",
    "unimatch": "lambda_u",
    "mllc": "lambda_clg",
    "mllc_anchors": "lambda_clg",
}
RATES, WEIGHTS = ("1e-4", "3e-4", "1e-3"), ("0.3", "1", "3")
BUDGET = ("trainer.max_steps=400", "trainer.val_every=400")


def hold_out(source: Path, target: Path) -> Path:
    """Lay links so that `val` is the last fifth of each training video, and `train` the rest."""
    videos = defaultdict(list)
    for image in sorted((source / "train").iterdir()):
        videos[image.name.split("_")[0]].append(image)
    for images in videos.values():
        for number, image in enumerate(images):
            split = "val" if number >= 0.8 * len(images) else "train"
            [mask] = (source / "trainannot").glob(f"{image.stem}.*")
            for file, folder in ((image, split), (mask, f"{split}annot")):
                link = target / folder / file.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(file.resolve())
    return target


def best(method: str) -> tuple[str, ...]:
    """The options of a method's best run so far."""
    with (HERE / "search.csv").open(newline="") as file:
        mine = [r for r in csv.DictReader(file) if r["config"] == f"methods/camvid_46_{method}"]
    row = max(mine, key=lambda row: float(row["miou_last"]))
    return tuple(o for o in row["overrides"].split() if o not in BUDGET)


def main() -> None:
    """Search the rates, then the weights at the best rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    given = parser.parse_args()
    data = Path(os.environ["MLLC_DATA"]) / "camvid"
    root = {"camvid": hold_out(data, Path("outputs/tables/held_out"))}

    def job(method: str, *overrides: str) -> Job:
        return Job(f"methods/camvid_46_{method}", (*BUDGET, *overrides), 0)

    path = HERE / "search.csv"
    jobs = [job(method, f"trainer.lr={rate}") for rate in RATES for method in given.methods]
    run(jobs, path, given.jobs, root)
    jobs = [
        job(method, best(method)[0], f"method.{METHODS[method]}={weight}")
        for weight in WEIGHTS
        for method in given.methods
        if METHODS[method] and weight != "1"
    ]
    run(jobs, path, given.jobs, root)
    for method in given.methods:
        print(method, *best(method))


if __name__ == "__main__":
    main()
