"""Formats of exported networks: ONNX and torch.export, and how to run each."""

import json
import logging
import warnings
from collections.abc import Callable
from importlib.metadata import version
from io import BytesIO

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from pyg_mllc.errors import InputError
from pyg_mllc.exporters.model import ExportableNetwork
from pyg_mllc.inference.predictor import Predictor

LARGEST = 4096  # pixels of a side
MEND = "pip install 'pyg_mllc[export]' brings what ONNX needs"


def trace(network: ExportableNetwork) -> ExportedProgram:
    """Trace a network for images of any number, and of any size that it takes.

    Args:
        network: to trace, on the CPU.

    Returns:
        The traced network, for batches of 1 to 1024 images.

    Raises:
        InputError: if torch cannot, saying why.
    """
    step, few = network.multiple, network.smallest // network.multiple
    most = max(LARGEST // step, few + 2)
    height, width = (step * Dim(name, min=few, max=most) for name in ("h", "w"))
    example = torch.rand(2, 3, step * (few + 1), step * (few + 2))
    sizes = {0: Dim("batch", min=1, max=1024), 2: height, 3: width}
    try:
        with torch.no_grad():
            return torch.export.export(network, (example,), dynamic_shapes=(sizes,), strict=False)
    except Exception as error:  # torch has many for what it cannot trace
        raise InputError(
            "this network cannot be exported for images of any size: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error


def about(predictor: Predictor, network: ExportableNetwork) -> dict[str, str]:
    """Return the metadata of an exported network, as text and JSON.

    Args:
        predictor: whose network was exported.
        network: its exportable form.

    Returns:
        Values by key: producer, input, output, classes, colors, size, multiple, corrected, network.
    """
    return {
        "producer": f"pyg_mllc {version('pyg_mllc')}",
        "input": "images (B, 3, H, W), RGB in [0, 1], not normalized; H and W multiples of "
        f"{network.multiple}, at least {network.smallest}; best near {list(predictor.size)}",
        "output": "logits (B, C, H, W); argmax over C is the label, softmax its probability",
        "classes": json.dumps(list(predictor.classes), ensure_ascii=False),
        "colors": json.dumps([list(color) for color in predictor.colors]),
        "size": json.dumps(list(predictor.size)),
        "multiple": str(network.multiple),
        "corrected": str(network.corrector is not None).lower(),
        "network": predictor.role,
    }


def to_onnx(program: ExportedProgram, facts: dict[str, str]) -> bytes:
    """Translate a traced network to ONNX, weights included.

    Args:
        program: of `trace`.
        facts: metadata to store, see `about`.

    Returns:
        The bytes of an ONNX file.

    Raises:
        InputError: if the extra `export` is not installed, or a part of it has no translation.
    """
    log = logging.getLogger("torch.onnx")
    level = log.level
    try:
        log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                program, input_names=["images"], output_names=["logits"], verbose=False
            )
    except ImportError as error:
        raise InputError(f"{error}; {MEND}") from error
    except Exception as error:  # of the translation
        raise InputError(
            f"ONNX cannot express this network: {' '.join(str(error).split())[:300]}"
        ) from error
    finally:
        log.setLevel(level)
    assert made is not None
    made.model.metadata_props.update(facts)
    return made.model_proto.SerializeToString()


def to_pt2(program: ExportedProgram, facts: dict[str, str]) -> bytes:
    """Serialize a traced network for `torch.export.load`.

    Args:
        program: of `trace`.
        facts: metadata to store as `pyg_mllc.json`, see `about`.

    Returns:
        The bytes of a `.pt2` file.
    """
    buffer = BytesIO()
    torch.export.save(program, buffer, extra_files={"pyg_mllc.json": json.dumps(facts)})
    return buffer.getvalue()


def run_onnx(exported: bytes) -> Callable[[Tensor], Tensor]:
    """Build a function that runs an ONNX network with onnxruntime on the CPU.

    Args:
        exported: of `to_onnx`.

    Returns:
        A function from images `(B, 3, H, W)` in [0, 1] to logits `(B, C, H, W)`.

    Raises:
        InputError: if the extra `export` is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"{error}; {MEND}") from error
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    return run


def run_pt2(exported: bytes) -> Callable[[Tensor], Tensor]:
    """Build a function that runs a torch.export network without this package.

    Args:
        exported: of `to_pt2`.

    Returns:
        A function from images `(B, 3, H, W)` in [0, 1] to logits `(B, C, H, W)`.
    """
    module = torch.export.load(BytesIO(exported)).module()

    def run(images: Tensor) -> Tensor:
        with torch.no_grad():
            return module(images)

    return run
