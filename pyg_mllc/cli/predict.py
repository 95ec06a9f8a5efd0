"""`mllc predict`: label images with a trained network."""

import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.errors import one_sentence, short
from pyg_mllc.cli.options import plain_options
from pyg_mllc.cli.progress import bar
from pyg_mllc.errors import InputError

KINDS = ("labels", "overlays", "confidence")
SEEN = ("correct", "scales", "flip", "fit", "window", "overlap")  # options of `Predictor.logits`
AT_ONCE = 4_000_000  # pixels of a batch, so that large images do not fill the memory


@hydra_command("predict")
def run(cfg: DictConfig) -> None:
    """Label the images of a folder."""
    with one_sentence():
        _predict(plain_options(cfg))


def _predict(cfg: dict[str, Any]) -> None:
    from pyg_mllc.cli.output_dir import Results
    from pyg_mllc.inference.predictor import load
    from pyg_mllc.utils.files import find_files
    from pyg_mllc.utils.suffixes import image_suffixes

    unknown = [kind for kind in cfg["save"] if kind not in KINDS]
    if unknown or not cfg["save"] or cfg["batch_size"] < 1:
        raise InputError(
            f"expected save to list some of {', '.join(KINDS)} and batch_size of 1 or more, "
            f"got save={cfg['save']} and batch_size={cfg['batch_size']}"
        )
    sources, passed = find_files("input", cfg["input"], image_suffixes())
    predictor = load(cfg["checkpoint"], cfg["network"], cfg["device"], allow=cfg["allow"])
    if cfg["correct"]:
        need_correction(predictor)
    options = {key: cfg[key] for key in ("network", *SEEN)}
    options["checkpoint"] = digest(Path(cfg["checkpoint"]))
    options["input"] = sources[0].root
    results = Results(cfg["output"], cfg["save"], options)
    todo = results.begin(sources, [source.path for source in sources])
    write_classes(results.folder / "classes.csv", predictor.classes, predictor.colors)
    unreadable: list[str] = []
    with bar("predict", len(todo), cfg["progress"]) as advance:
        for batch in _batches(todo, cfg["batch_size"], unreadable):
            _label(predictor, batch, results, {key: cfg[key] for key in SEEN}, unreadable)
            advance(len(batch))
    done = len(todo) - len(unreadable)
    before = f", {len(sources) - len(todo)} were there already" if len(sources) > len(todo) else ""
    print(f"{done} images labeled{before}: {short(results.folder)}")
    tell_others(results, sources)
    tell_left_out(unreadable, f"of {len(sources)} images", passed)


def _batches(sources: list[Any], batch_size: int, unreadable: list[str]) -> Iterator[list[Any]]:
    """Batches of images of one size, by what the files' heads say."""
    from pyg_mllc.data.image_file import read_image_size

    by_size = defaultdict(list)
    for source in sources:
        try:
            by_size[read_image_size(source.path)].append(source)
        except InputError as error:
            unreadable.append(str(error))
    for (height, width), same in by_size.items():
        count = max(min(batch_size, AT_ONCE // (height * width)), 1)
        for start in range(0, len(same), count):
            yield same[start : start + count]


def _label(
    predictor: Any, batch: list[Any], results: Any, options: dict[str, Any], unreadable: list[str]
) -> None:
    import torch

    from pyg_mllc.data.image_io import as_tensor
    from pyg_mllc.inference.postprocessing import label_map
    from pyg_mllc.visualization.masks import (
        gray_picture,
        overlay_picture,
        palette_picture,
        save_picture,
    )

    images, named = [], []
    for source in batch:
        try:
            images.append(as_tensor(source.path))
            named.append(source.name)
        except InputError as error:
            unreadable.append(str(error))
    if not images:
        return
    _, logits = predictor.logits(torch.stack(images), **options)
    for name, image, z in zip(named, images, logits, strict=True):
        label, confidence = label_map(z, (image.shape[1], image.shape[2]))
        make = {
            "labels": lambda: palette_picture(label, predictor.colors),  # noqa: B023
            "overlays": lambda: overlay_picture(image, label, predictor.colors),  # noqa: B023
            "confidence": lambda: gray_picture(confidence),  # noqa: B023
        }
        for kind, path in results.paths(name).items():
            save_picture(path, make[kind]())


def tell_others(results: Any, sources: Sequence[Any]) -> None:
    """Say which results in the folder are of none of the inputs: these may have been removed."""
    if others := results.others(sources):
        one = short(others[0])
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        print(f"not of this input, left as it was: {one}{more}")


def tell_left_out(reasons: Sequence[str], of: str, passed: Sequence[Path] = ()) -> None:
    """Name what was left out, each with its reason, and stop with an error if there is anything.

    Args:
        reasons: why each of the files that were tried was left out.
        of: how many of what they are, for the sentence.
        passed: files of formats that are not read; if there is nothing else, the exit code is 1.

    Raises:
        InputError: if there are reasons.
    """
    if passed:
        from pyg_mllc.utils.suffixes import describe_skipped

        print(f"mllc: {describe_skipped(passed)}", file=sys.stderr)
    for reason in reasons[1:]:
        print(f"left out: {reason}", file=sys.stderr)
    if reasons:
        raise InputError(f"{len(reasons)} {of} were left out: {reasons[0]}")
    if passed:
        sys.exit(1)


def need_correction(predictor: Any) -> None:
    """Refuse a network that has nothing to correct by."""
    if not len(predictor.seeing.corrector.rounds):
        raise InputError(
            "this network was trained without correction, so correct=true has nothing to correct "
            "by; leave it out, or train with method=mllc or method.correct=true"
        )


def digest(path: Path) -> str:
    """Give what tells a file's content from any other."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write_classes(path: Path, classes: Any, colors: Any) -> None:
    """Write what the numbers in labels mean."""
    from pyg_mllc.utils.io import write_csv

    rows = ([i, n, *c] for i, (n, c) in enumerate(zip(classes, colors, strict=True)))
    write_csv(path, ["id", "name", "r", "g", "b"], rows)  # as a table of classes is read
