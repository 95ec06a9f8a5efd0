"""`mllc predict`: label images with a trained network."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.errors import one_sentence, short
from pyg_mllc.cli.options import plain_options
from pyg_mllc.cli.output_dir import FolderReport, Results, digest, print_report
from pyg_mllc.cli.progress import bar
from pyg_mllc.errors import InputError
from pyg_mllc.utils.files import Source, find_files
from pyg_mllc.utils.suffixes import image_suffixes

if TYPE_CHECKING:
    from pyg_mllc.inference.checkpoint import Config
    from pyg_mllc.inference.predictor import Predictor

KINDS = ("labels", "overlays", "confidence")
AT_ONCE = 4_000_000  # pixels of a batch, so that large images do not fill the memory


@hydra_command("predict")
def run(cfg: DictConfig) -> None:
    """Label the images of a folder."""
    with one_sentence():
        report = predict(**plain_options(cfg, predict))
        before = f", {report.skipped} were there already" if report.skipped else ""
        print(f"{report.done} images labeled{before}: {short(report.folder)}")
        print_report(report, f"of {report.total} images")


def predict(
    checkpoint: str | Path,
    input: str | Path,
    output: str | Path,
    *,
    network: str = "student",
    correct: bool = False,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    fit: bool = True,
    window: Sequence[int] | None = None,
    overlap: float = 0.5,
    save: Sequence[str] = KINDS,
    batch_size: int = 4,
    allow: Sequence[str] = (),
    device: str | None = None,
    progress: bool = False,
) -> FolderReport:
    """Label the images of a folder, as `mllc predict` does; a second call goes on.

    Args:
        checkpoint: `best.ckpt` or `last.ckpt` of a run.
        input: an image, a folder (with those inside it), or a pattern such as `photos/**/*.jpg`.
        output: folder for `labels/` (PNG: class numbers, shown in colors), `overlays/` (labels over
            the image), `confidence/` (gray, 255 is certain) and `classes.csv`; images that are
            finished there are skipped.
        network: `student`, or `teacher`, its average over the training.
        correct: whether to correct the labels by graphs, as the method did in training.
        scales: sizes at which the images are seen, relative to that of training, such as
            `[0.75,1,1.5]`.
        flip: whether to look at the mirrored image, too.
        fit: whether to see images at the scale that training saw; else pixel by pixel.
        window: height and width of the sliding window; by default the size of training.
        overlap: share of a window that the next one covers, too, in [0, 1).
        save: folders to write, some of `labels`, `overlays` and `confidence`.
        batch_size: images of one size at once.
        allow: packages of your own that the checkpoint may build layers or methods of, such as
            `[mine]`.
        device: `cpu`, `cuda`, ...; by default a GPU where there is one, else the CPU.
        progress: whether to show a bar.

    Returns:
        What was done. Images that cannot be read are left out, and listed.

    Raises:
        InputError: if checkpoint, input, output or an option cannot be used.
    """
    from pyg_mllc.inference.predictor import load

    look: Config = {
        "correct": correct, "scales": list(scales), "flip": flip, "fit": fit,
        "window": window, "overlap": overlap,
    }  # fmt: skip
    if not save or not set(save) <= set(KINDS) or batch_size < 1:
        raise InputError(
            f"expected save to list some of {', '.join(KINDS)} and batch_size of 1 or more, "
            f"got save={list(save)} and batch_size={batch_size}"
        )
    sources, unsupported = find_files("input", input, image_suffixes())
    predictor = load(checkpoint, network, device, allow=allow)
    if correct:
        predictor.check_correction()
    options = {"network": network, **look, "checkpoint": digest(Path(checkpoint))}
    options["input"] = sources[0].root
    results = Results(output, save, options)
    todo = results.begin(sources, [source.path for source in sources])
    results.write_classes(predictor.classes, predictor.colors)
    unreadable: list[str] = []
    with bar("predict", len(todo), progress) as advance:
        for batch in _batches(todo, batch_size, unreadable):
            _label(predictor, batch, results, look, unreadable)
            advance(len(batch))
    return FolderReport(
        results.folder, len(todo) - len(unreadable), len(sources) - len(todo), len(sources),
        unreadable, unsupported, results.others(sources),
    )  # fmt: skip


def _batches(
    sources: list[Source], batch_size: int, unreadable: list[str]
) -> Iterator[list[Source]]:
    """Yield batches of images of one size, by what the files' headers say."""
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
    predictor: "Predictor",
    batch: list[Source],
    results: Results,
    look: "Config",
    unreadable: list[str],
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
    _, logits = predictor.logits(torch.stack(images), **look)
    for name, image, z in zip(named, images, logits, strict=True):
        label, confidence = label_map(z, (image.shape[1], image.shape[2]))
        make = {
            "labels": lambda: palette_picture(label, predictor.colors),  # noqa: B023
            "overlays": lambda: overlay_picture(image, label, predictor.colors),  # noqa: B023
            "confidence": lambda: gray_picture(confidence),  # noqa: B023
        }
        for kind, path in results.paths(name).items():
            save_picture(path, make[kind]())
