"""The same small search for each method: its learning rate, then the weight of unlabeled images.

MLLC_DATA=path/to/data python -m experiments.methods.search --data voc --jobs 2

1/8 of the images labeled, a short training, scored on training images held out for this: of CamVid
the last fifth of each video, of VOC every fifth image; the validation split is not looked at. Adds
to `search.csv` and prints what is best.
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
RATES = {"camvid": ("3e-4", "1e-3", "3e-3"), "voc": ("3e-5", "1e-4", "3e-4")}
WEIGHTS = ("0.3", "1", "3")
ROWS = {"camvid": "methods/camvid_46", "voc": "methods/voc_54"}
STEPS = {"camvid": 400, "voc": 300}
SIZES = {"camvid": ("model.stride=8", "model.feature_stride=16"), "voc": ()}  # of maps


def budget(data: str) -> tuple[str, ...]:
    """Options of all runs of a search."""
    return f"trainer.max_steps={STEPS[data]}", f"trainer.val_every={STEPS[data]}"


def hold_out_frames(source: Path, target: Path) -> Path:
    """Lay links so that `val` is the last fifth of each training video, and `train` the rest."""
    videos = defaultdict(list)
    for image in sorted((source / "train").iterdir()):
        videos[image.name.split("_")[0]].append(image)
    for images in videos.values():
        for number, image in enumerate(images):
            split = "val" if number >= 0.8 * len(images) else "train"
            [mask] = (source / "trainannot").glob(f"{image.stem}.*")
            for file, folder in ((image, split), (mask, f"{split}annot")):
                _link(target / folder / file.name, file)
    return target


def hold_out_photographs(source: Path, target: Path) -> Path:
    """Write lists so that `val` is every fifth training image, and `train` the rest."""
    lists = Path("ImageSets/Segmentation")
    (target / lists).mkdir(parents=True, exist_ok=True)
    for folder in ("JPEGImages", "SegmentationClass"):
        _link(target / folder, source / folder)
    names = (source / lists / "train.txt").read_text().split()
    rest = [name for i, name in enumerate(names) if i % 5]
    for split, chosen in (("val", names[::5]), ("train", rest)):
        (target / lists / f"{split}.txt").write_text("\n".join(chosen))
    return target


def _link(link: Path, file: Path) -> None:
    if link.is_symlink() and link.resolve() == file.resolve():
        return  # another search may be reading it
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(file.resolve())


def held_out(data: str) -> dict[str, Path]:
    """Where each data set lies while nobody may look at its validation split."""
    source, target = Path(os.environ["MLLC_DATA"]), Path("outputs/tables/held_out")
    if data == "voc":
        return {data: hold_out_photographs(source / "voc2012", target / data)}
    return {data: hold_out_frames(source / data, target / data)}


def best(data: str, method: str) -> tuple[str, ...]:
    """The rate and the weight of a method's best run so far; runs of other options aside."""
    shared, names = {*budget(data), *SIZES[data]}, {"trainer.lr", f"method.{METHODS[method]}"}
    runs = {}
    with (HERE / "search.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            given = row["overrides"].split()
            own = tuple(option for option in given if option not in shared)
            mine = row["config"] == f"{ROWS[data]}_{method}" and shared <= set(given)
            if mine and {option.split("=")[0] for option in own} <= names:
                runs[own] = float(row["miou_last"])
    return max(runs, key=lambda own: runs[own])


def main() -> None:
    """Search the rates, then the weights at the best rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    parser.add_argument("--data", choices=list(ROWS), default="camvid")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    given = parser.parse_args()
    data, root = given.data, held_out(given.data)

    def job(method: str, rate: str, weight: str = "1") -> Job:
        name = METHODS[method]
        weights = [f"method.{name}={weight}"] if name else []
        return Job(f"{ROWS[data]}_{method}", (*budget(data), *SIZES[data], rate, *weights), 0)

    path = HERE / "search.csv"
    jobs = [job(method, f"trainer.lr={rate}") for rate in RATES[data] for method in given.methods]
    run(jobs, path, given.jobs, root)
    jobs = [
        job(method, best(data, method)[0], weight)
        for weight in WEIGHTS
        for method in given.methods
        if METHODS[method]
    ]
    run(jobs, path, given.jobs, root)
    for method in given.methods:
        print(method, *best(data, method))


if __name__ == "__main__":
    main()
