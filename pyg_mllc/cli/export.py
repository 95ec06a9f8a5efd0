"""`mllc export`: bring a trained network to ONNX or torch.export, and check what it computes."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.errors import one_sentence, refuse, short
from pyg_mllc.cli.options import plain_options
from pyg_mllc.cli.predict import need_correction
from pyg_mllc.errors import InputError

NONE = "nothing is kept"
FORMATS = {"onnx": ".onnx", "torch_export": ".pt2"}


@hydra_command("export")
def run(cfg: DictConfig) -> None:
    """Export a checkpoint's network."""
    with one_sentence():
        _export(plain_options(cfg))


def _export(cfg: dict[str, Any]) -> None:
    from pyg_mllc import export
    from pyg_mllc.inference.predictor import load
    from pyg_mllc.utils.io import atomic_open

    out = Path(cfg["output"])
    chosen = _format(out, cfg["format"])
    if out.resolve() == Path(cfg["checkpoint"]).resolve():
        raise InputError(f"output={out} is the checkpoint itself; give another name")
    predictor = load(cfg["checkpoint"], cfg["network"], device="cpu", allow=cfg["allow"])
    if cfg["correct"]:
        need_correction(predictor)
    image = _image(cfg["image"])
    network = export.ExportableNetwork(predictor, cfg["correct"])
    program, facts = export.trace(network), export.about(predictor, network)
    if chosen == "onnx":
        exported = export.to_onnx(program, facts)
        run = export.run_onnx(exported)
    else:
        exported = export.to_pt2(program, facts)
        run = export.run_pt2(exported)
    _check(predictor, network, run, image, cfg)
    with atomic_open(out) as file:
        file.write(exported)
    print(f"exported: {short(out)}, {len(exported) / 1e6:.1f} MB; {facts['input']}")


def _check(predictor: Any, network: Any, run: Any, image: Any, cfg: dict[str, Any]) -> None:
    """Compare with torch on a photograph of three sizes; exit with 1 if they differ too much."""
    from pyg_mllc.export import Comparison, compare, views

    found: list[tuple[str, Comparison]] = []
    for view in views(image, predictor.size, network.multiple, network.smallest):
        size = " x ".join(map(str, view.shape))
        found.append((size, compare(run(view), predictor(view, cfg["correct"])[1])))
        print(f"{size}: {found[-1][1]}")
    apart = [f.largest for _, f in found]
    published = cfg["correct"] and not predictor.seeing.corrector.smooth
    if published:  # rounding decides between neighbors that look nearly alike
        view = views(image, predictor.size, network.multiple, network.smallest)[0].double()
        exact = compare(network.double()(view), predictor.double()(view, correct=True)[1])
        print(f"in double precision: {exact}")
        found.append(("", exact))
        apart = [exact.mean]
    if far := [gap for gap in apart if not gap <= cfg["tolerance"]]:  # NaN is far, too
        differs = f"logits differ by {far[0]:.2g}, more than tolerance={cfg['tolerance']}"
        refuse(f"the exported network does not compute what torch does: {differs}; {NONE}", 1)
    other = max(f.other for _, f in found)
    if published and other > cfg["labels"]:
        refuse(
            f"{other:.2%} of the labels differ, more than labels={cfg['labels']}: rounding decides "
            "in the published form of correction (corrector.smooth=false); train with smooth=true, "
            f"or raise labels; {NONE}",
            1,
        )


def _format(out: Path, given: str | None) -> str:
    chosen = given or {suffix: name for name, suffix in FORMATS.items()}.get(out.suffix.lower())
    if chosen not in FORMATS:
        what = f"format={given}" if given else f"output={out}"
        ends = " or ".join(f"format={name} ({suffix})" for name, suffix in FORMATS.items())
        raise InputError(f"{what} does not say what to export to: {ends}")
    return chosen


def _image(path: str | None) -> Any:
    """A real image `(3, H, W)` in [0, 1]."""
    from skimage.data import chelsea

    from pyg_mllc.data.image_io import as_tensor

    return as_tensor(chelsea() if path is None else path)
