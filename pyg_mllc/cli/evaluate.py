"""`mllc evaluate`: measure a checkpoint on a labeled split, before and after correction."""

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.errors import one_sentence, short
from pyg_mllc.cli.options import plain_options
from pyg_mllc.cli.output_dir import check_output
from pyg_mllc.cli.progress import bar
from pyg_mllc.cli.run_dir import PARTITION, RUN, read_run
from pyg_mllc.cli.trusted_config import allowed, checked_parts
from pyg_mllc.errors import InputError
from pyg_mllc.utils.files import CLASSES

if TYPE_CHECKING:
    from torch import Tensor

    from pyg_mllc.data import DatasetSpec, SampleSet, Splits
    from pyg_mllc.evaluation.results import Evaluation
    from pyg_mllc.inference.predictor import Predictor

log = logging.getLogger(__name__)

PAGE = "evaluation.html"  # written last


@hydra_command("evaluate")
def run(cfg: DictConfig) -> None:
    """Measure a checkpoint on a data set, and write what was measured."""
    import rich

    from pyg_mllc.utils.instantiate import make
    from pyg_mllc.visualization.report import stages_table

    with one_sentence():
        if cfg.get("data") is None:
            raise InputError(
                "data is not given: pass data=camvid data.root=path/to/camvid, or another"
            )
        options = plain_options(cfg, evaluate)
        data = checked_parts(cfg, allowed(cfg))["data"]
        command = " ".join(["mllc evaluate", *HydraConfig.get().overrides.task])
        options |= {"data": partial(make, data, "data"), "command": command, "tell": _warn}
        evaluation = evaluate(**options)
        rich.print(stages_table(evaluation.stages))
        print(f"evaluation: {short(Path(options['output']).expanduser() / PAGE)}")


def evaluate(
    checkpoint: str | Path,
    data: "Splits | Callable[[], Splits]",
    output: str | Path | None = None,
    *,
    split: str = "val",
    network: str = "student",
    correct: bool = True,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    fit: bool = True,
    window: Sequence[int] | None = None,
    overlap: float = 0.5,
    gallery: int = 60,
    allow: Sequence[str] = (),
    device: str | None = None,
    workers: int = 0,
    progress: bool = False,
    command: str = "",
    tell: Callable[[str], None] = log.warning,
) -> "Evaluation":
    """Measure a trained network on labeled images, before and after correction.

    Images of a data set in files are measured at their own size.

    Args:
        checkpoint: `best.ckpt` or `last.ckpt` of a run.
        data: labeled images, such as `pyg_mllc.data.folder` returns, or a function that reads them.
        output: folder for `evaluation.html`, tables and pictures; by default nothing is written.
        split: `val`, or `labeled`, of the training images.
        network: `student`, or `teacher`, its average over the training.
        correct: whether to measure the corrected labels as well, if the network corrects any.
        scales: sizes at which the images are seen, relative to that of training, such as
            `[0.75,1,1.5]`.
        flip: whether to look at the mirrored image, too.
        fit: whether to see images at the scale that training saw; else pixel by pixel.
        window: height and width of the sliding window; by default the size of training.
        overlap: share of a window that the next one covers, too, in [0, 1).
        gallery: number of images whose pictures are kept, those most worth a look.
        allow: packages of your own that the checkpoint may build layers or methods of, such as
            `[mine]`.
        device: `cpu`, `cuda`, ...; by default a GPU where there is one, else the CPU.
        workers: number of processes that load images.
        progress: whether to show a bar.
        command: shown at the head of the page.
        tell: called with each sentence on what is doubtful about the images.

    Returns:
        Figures of each stage and each image.

    Raises:
        InputError: if checkpoint, data, output or an option cannot be used, or their classes
            differ.
    """
    from pyg_mllc.data import OriginalSizeDataset, SegmentationDataset, Splits
    from pyg_mllc.data.label_warnings import find_label_warnings
    from pyg_mllc.evaluation.evaluate import evaluate as measure
    from pyg_mllc.inference.predictor import load
    from pyg_mllc.utils.resize import upsample

    folder = None if output is None else Path(output).expanduser()
    if folder is not None:  # before anything is read
        check_output(folder, (CLASSES,) if _is_ours(folder / CLASSES) else ())
    if split not in ("val", "labeled"):
        raise InputError(f"split={split} is none of val, labeled")
    predictor = load(checkpoint, network, device, allow=allow)
    splits = data() if callable(data) else data
    if not isinstance(splits, Splits):
        raise InputError(
            "expected data to be splits, such as pyg_mllc.data.folder('mine') returns, "
            f"got {data!r}"
        )
    _check_classes(predictor.classes, splits.spec)
    images = getattr(splits, split)
    samples = OriginalSizeDataset(images) if isinstance(images, SegmentationDataset) else images
    for doubt in find_label_warnings(None, images):
        tell(doubt)
    if split == "val":
        _tell_known(samples, Path(checkpoint), tell)
    correct = bool(correct and len(predictor.corrector.rounds))

    def predict(batch: "Tensor") -> "list[Tensor]":
        stages = predictor.logits(
            batch, correct=correct, scales=scales, flip=flip, fit=fit, window=window,
            overlap=overlap,
        )  # fmt: skip
        return [upsample(z, batch.shape[-2:]).softmax(1) for z in stages[: 1 + correct]]

    with bar("evaluate", len(samples), progress) as advance:
        evaluation = measure(predict, samples, workers=workers, gallery=gallery, advance=advance)
    if folder is not None:
        facts = {
            "checkpoint": str(checkpoint),
            "data": f"{splits.spec.name}: {len(samples)} images of {split}, at their own size",
            "network": f"{network}, {'with' if correct else 'without'} correction",
            **({"command": command} if command else {}),
        }
        _write(folder, evaluation, predictor, facts)
    return evaluation


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)


def _is_ours(table: Path) -> bool:
    """Check if a table of classes belongs to an earlier evaluation, which may be replaced."""
    if not table.is_file():
        return False
    with table.open("rb") as file:
        return file.readline().startswith(b"class,pixels,")


def _tell_known(samples: "SampleSet", checkpoint: Path, tell: Callable[[str], None]) -> None:
    """Report images that taught the network, by the lists of its run."""
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
        tell(
            f"{len(known)} of {len(samples)} images, {known[0]} among them, taught this network; "
            f"data.partition={short(lists)} takes those that did not"
        )


def _write(
    out: Path, evaluation: "Evaluation", predictor: "Predictor", facts: dict[str, str]
) -> None:
    from pyg_mllc.visualization.report import write_figures, write_report, write_tables

    classes, colors = predictor.classes, predictor.colors
    if (out / PAGE).exists():
        for old in (*out.glob("confusion_*.*"), out / PAGE):  # those of other stages would stay
            old.unlink()
    write_tables(out, evaluation, classes)
    write_figures(out, evaluation, classes)
    write_report(out / PAGE, "evaluation", [], evaluation, classes, colors, facts)


def _check_classes(known: tuple[str, ...], spec: "DatasetSpec") -> None:
    """Raise if the classes of a data set differ from those of the checkpoint."""
    if known == tuple(spec.classes):
        return
    pairs = enumerate(zip(known, spec.classes, strict=False))
    first = next((f"; class {i} is {a} there and {b} here" for i, (a, b) in pairs if a != b), "")
    raise InputError(
        f"the checkpoint knows {len(known)} classes and {spec.name} has {spec.num_classes}{first}; "
        "give the data set that it was trained for"
    )
