"""`mllc evaluate`: measure a checkpoint on a labeled split, before and after correction."""

import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.errors import one_sentence, short
from pyg_mllc.cli.options import plain_options
from pyg_mllc.cli.predict import SEEN
from pyg_mllc.cli.progress import bar
from pyg_mllc.cli.trusted_config import allowed, checked_parts
from pyg_mllc.errors import InputError

PAGE = "evaluation.html"  # written last


@hydra_command("evaluate")
def run(cfg: DictConfig) -> None:
    """Measure the checkpoint that `cfg` names, and write what was found."""
    with one_sentence():
        _evaluate(cfg, plain_options(cfg))


def _evaluate(cfg: DictConfig, given: dict[str, Any]) -> None:
    import rich

    from pyg_mllc import load
    from pyg_mllc.cli.output_dir import check_output
    from pyg_mllc.data import OriginalSizeDataset, SegmentationDataset
    from pyg_mllc.data.label_warnings import find_label_warnings
    from pyg_mllc.evaluation.evaluate import evaluate
    from pyg_mllc.utils.files import CLASSES
    from pyg_mllc.utils.instantiate import make
    from pyg_mllc.utils.resize import upsample
    from pyg_mllc.visualization.report import stages_table

    if cfg.get("data") is None:
        raise InputError("data is not given: pass data=camvid data.root=path/to/camvid, or another")
    out = Path(given["output"]).expanduser()
    check_output(out, (CLASSES,) if _is_ours(out / CLASSES) else ())
    data = checked_parts(cfg, allowed(cfg))["data"]
    predictor = load(given["checkpoint"], given["network"], given["device"], allow=given["allow"])
    splits = make(data, "data")
    if given["split"] not in ("val", "labeled"):
        raise InputError(f"split={given['split']} is none of val, labeled")
    _check_classes(predictor.classes, splits.spec)
    samples = getattr(splits, given["split"])
    if isinstance(samples, SegmentationDataset):
        samples = OriginalSizeDataset(samples)
    for doubt in find_label_warnings(None, getattr(splits, given["split"])):
        print(f"warning: {doubt}", file=sys.stderr)
    if given["split"] == "val":
        _warn_of_known(samples, Path(given["checkpoint"]))
    given["correct"] = bool(given["correct"] and len(predictor.seeing.corrector.rounds))
    options = {name: given[name] for name in SEEN}

    def predict(images: Any) -> list[Any]:
        found = predictor.logits(images, **options)[: 1 + given["correct"]]
        return [upsample(logits, images.shape[-2:]).softmax(1) for logits in found]

    with bar("evaluate", len(samples), given["progress"]) as advance:
        evaluation = evaluate(
            predict, samples, workers=given["workers"], gallery=given["gallery"], advance=advance
        )
    rich.print(stages_table(evaluation.stages))
    _write(out, evaluation, predictor, _facts(given, splits.spec.name, len(samples)))
    print(f"evaluation: {short(out / PAGE)}")


def _is_ours(table: Path) -> bool:
    """Whether a table of classes is that of an earlier evaluation, which a new one replaces."""
    if not table.is_file():
        return False
    with table.open("rb") as file:
        return file.readline().startswith(b"class,pixels,")


def _warn_of_known(samples: Any, checkpoint: Path) -> None:
    """Say so where images to measure on taught the network, by the lists of its run."""
    from pyg_mllc.cli.run_dir import PARTITION, RUN, read_run
    from pyg_mllc.data import SegmentationDataset
    from pyg_mllc.data.split_lists import read_list

    run = checkpoint.absolute().parent.parent
    lists = run / PARTITION
    there = (lists / "labeled.txt").is_file() and (run / RUN).is_file()
    if not isinstance(samples, SegmentationDataset) or not there:
        return
    root = Path(read_run(run).data.get("root") or ".")
    taught = {(root / line.image).resolve() for line in read_list(lists / "labeled.txt")}
    known = [image for image in samples.images if image.resolve() in taught]
    if known:
        print(
            f"warning: {len(known)} of {len(samples)} images, {known[0]} among them, taught this "
            f"network; data.partition={short(lists)} takes those that did not",
            file=sys.stderr,
        )


def _write(out: Path, evaluation: Any, predictor: Any, facts: dict[str, str]) -> None:
    from pyg_mllc.visualization.report import write_figures, write_report, write_tables

    classes, colors = predictor.classes, predictor.colors
    if (out / PAGE).exists():
        for old in (*out.glob("confusion_*.*"), out / PAGE):  # those of other stages would stay
            old.unlink()
    write_tables(out, evaluation, classes)
    write_figures(out, evaluation, classes)
    write_report(out / PAGE, "evaluation", [], evaluation, classes, colors, facts)


def _check_classes(known: tuple[str, ...], spec: Any) -> None:
    """Refuse a data set whose classes are not those of the checkpoint."""
    if known == tuple(spec.classes):
        return
    pairs = enumerate(zip(known, spec.classes, strict=False))
    first = next((f"; class {i} is {a} there and {b} here" for i, (a, b) in pairs if a != b), "")
    raise InputError(
        f"the checkpoint knows {len(known)} classes and {spec.name} has {spec.num_classes}{first}; "
        "give the data set that it was trained for"
    )


def _facts(given: dict[str, Any], name: str, images: int) -> dict[str, str]:
    """What made the results, for the head of the page."""
    return {
        "checkpoint": given["checkpoint"],
        "data": f"{name}: {images} images of {given['split']}, at their own size",
        "network": f"{given['network']}, {'with' if given['correct'] else 'without'} correction",
        "command": " ".join(["mllc evaluate", *HydraConfig.get().overrides.task]),
    }
