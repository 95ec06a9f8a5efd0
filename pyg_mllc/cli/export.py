"""`mllc export`: bring a trained network to ONNX or torch.export, and check what it computes."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.errors import one_sentence, refuse, short
from pyg_mllc.cli.options import plain_options
from pyg_mllc.errors import InputError
from pyg_mllc.utils.io import atomic_open

if TYPE_CHECKING:
    from torch import Tensor

    from pyg_mllc.exporters import Comparison, ExportableNetwork
    from pyg_mllc.inference.predictor import Predictor

log = logging.getLogger(__name__)

NONE = "nothing is kept"
DOUBLE = "in double precision"
FORMATS = {"onnx": ".onnx", "torch_export": ".pt2"}


@hydra_command("export")
def run(cfg: DictConfig) -> None:
    """Export a checkpoint's network."""
    from pyg_mllc.exporters import MismatchError

    with one_sentence():
        try:
            report = export(**plain_options(cfg, export), tell=print)
        except MismatchError as error:
            refuse(str(error), 1)
        size = Path(report.file).stat().st_size / 1e6
        print(f"exported: {short(report.file)}, {size:.1f} MB; {report.input}")


class ExportReport(NamedTuple):
    """Exported file, and its agreement with torch."""

    file: Path
    input: str  # what the network takes
    comparisons: "dict[str, Comparison]"  # by the size of the images


def export(
    checkpoint: str | Path,
    output: str | Path,
    *,
    format: str | None = None,
    network: str = "student",
    correct: bool = False,
    image: str | Path | None = None,
    tolerance: float = 0.001,
    labels: float = 0.01,
    allow: Sequence[str] = (),
    tell: Callable[[str], None] = log.info,
) -> ExportReport:
    """Export a trained network to ONNX or torch.export, and compare it with torch.

    Args:
        checkpoint: `best.ckpt` or `last.ckpt` of a run.
        output: file to write: `.onnx`, which needs `pip install 'pyg_mllc[export]'`, or `.pt2`, for
            `torch.export.load`; an earlier one is replaced.
        format: `onnx` or `torch_export`; by default what the file's name ends on.
        network: `student`, or `teacher`, its average over the training.
        correct: whether to export the correction of labels, too.
        image: path of a photograph to compare with; by default one that is there anyhow.
        tolerance: largest difference of the logits; above it no file is left. For correction as
            published (`corrector.smooth=false`): of their mean, in double precision.
        labels: for correction as published, largest share of pixels with another label.
        allow: packages of your own that the checkpoint may build layers or methods of, such as
            `[mine]`.
        tell: called with a sentence on each comparison.

    Returns:
        The file, and how far it agrees with torch.

    Raises:
        InputError: if checkpoint, output or an option cannot be used.
        MismatchError: if the exported network does not compute what torch does; no file is kept.
    """
    from skimage.data import chelsea

    from pyg_mllc import exporters
    from pyg_mllc.data.image_io import as_tensor
    from pyg_mllc.inference.predictor import load

    out = Path(output)
    chosen = _format(out, format)
    if out.resolve() == Path(checkpoint).resolve():
        raise InputError(f"output={out} is the checkpoint itself; give another name")
    predictor = load(checkpoint, network, device="cpu", allow=allow)
    if correct:
        predictor.check_correction()
    photograph = as_tensor(chelsea() if image is None else image)
    module = exporters.ExportableNetwork(predictor, correct)
    program, facts = exporters.trace(module), exporters.about(predictor, module)
    if chosen == "onnx":
        content = exporters.to_onnx(program, facts)
        run_exported = exporters.run_onnx(content)
    else:
        content = exporters.to_pt2(program, facts)
        run_exported = exporters.run_pt2(content)
    comparisons = _compare(predictor, module, run_exported, photograph, correct, tell)
    _check(comparisons, correct and not predictor.corrector.options.smooth, tolerance, labels)
    with atomic_open(out) as file:
        file.write(content)
    return ExportReport(out, facts["input"], comparisons)


def _compare(
    predictor: "Predictor",
    network: "ExportableNetwork",
    run_exported: "Callable[[Tensor], Tensor]",
    image: "Tensor",
    correct: bool,
    tell: Callable[[str], None],
) -> "dict[str, Comparison]":
    """Compare with torch on a photograph of three sizes, and tell how far they agree."""
    from pyg_mllc.exporters import compare, views

    comparisons = {}
    looks = list(views(image, predictor.size, network.multiple, network.smallest))
    for view in looks:
        size = " x ".join(map(str, view.shape))
        comparisons[size] = compare(run_exported(view), predictor(view, correct)[1])
        tell(f"{size}: {comparisons[size]}")
    if correct and not predictor.corrector.options.smooth:
        # In single precision rounding decides between neighbors that look nearly alike.
        view = looks[0].double()
        exact = compare(network.double()(view), predictor.double()(view, correct=True)[1])
        comparisons[DOUBLE] = exact
        tell(f"{DOUBLE}: {exact}")
    return comparisons


def _check(
    comparisons: "dict[str, Comparison]", published: bool, tolerance: float, labels: float
) -> None:
    """Raise if the exported network differs too much."""
    from pyg_mllc.exporters import MismatchError

    apart = [c.largest for c in comparisons.values()]
    if published:
        apart = [comparisons[DOUBLE].mean]
    if far := [gap for gap in apart if not gap <= tolerance]:  # NaN is far, too
        differs = f"logits differ by {far[0]:.2g}, more than tolerance={tolerance}"
        raise MismatchError(
            f"the exported network does not compute what torch does: {differs}; {NONE}"
        )
    other = max(c.other for c in comparisons.values())
    if published and other > labels:
        raise MismatchError(
            f"{other:.2%} of the labels differ, more than labels={labels}: rounding decides "
            "in the published form of correction (corrector.smooth=false); train with smooth=true, "
            f"or raise labels; {NONE}"
        )


def _format(out: Path, wanted: str | None) -> str:
    chosen = wanted or {suffix: name for name, suffix in FORMATS.items()}.get(out.suffix.lower())
    if chosen not in FORMATS:
        what = f"format={wanted}" if wanted else f"output={out}"
        ends = " or ".join(f"format={name} ({suffix})" for name, suffix in FORMATS.items())
        raise InputError(f"{what} does not say what to export to: {ends}")
    return chosen
