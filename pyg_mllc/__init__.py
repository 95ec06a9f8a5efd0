"""Learn semantic segmentation from few labels, by correcting labels with graphs."""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_mllc.cli.correct import correct_masks
    from pyg_mllc.cli.evaluate import evaluate
    from pyg_mllc.cli.explain import explain
    from pyg_mllc.cli.export import export
    from pyg_mllc.cli.predict import predict
    from pyg_mllc.cli.train import train
    from pyg_mllc.inference.fit import fit
    from pyg_mllc.inference.mask_corrector import MaskCorrector
    from pyg_mllc.inference.predictor import Predictor, load
    from pyg_mllc.nn import LabelCorrector, Segmenter

_MODULES = {  # imported when asked for, so that `import pyg_mllc` stays quick
    "LabelCorrector": "nn",
    "MaskCorrector": "inference.mask_corrector",
    "Predictor": "inference.predictor",
    "Segmenter": "nn",
    "correct_masks": "cli.correct",
    "evaluate": "cli.evaluate",
    "explain": "cli.explain",
    "export": "cli.export",
    "fit": "inference.fit",
    "load": "inference.predictor",
    "predict": "cli.predict",
    "train": "cli.train",
}
__all__ = [
    "LabelCorrector",
    "MaskCorrector",
    "Predictor",
    "Segmenter",
    "correct_masks",
    "evaluate",
    "explain",
    "export",
    "fit",
    "load",
    "predict",
    "train",
]


def _check_graphs() -> None:
    """Raise if another module hides `graphs`, which is installed beside this package.

    Raises:
        ImportError: if a file or folder of that name comes first on Python's path.
    """
    expected = Path(__file__).parents[1] / "graphs" / "__init__.py"
    spec = find_spec("graphs")
    if spec is None or spec.origin is None or not expected.is_file():
        return
    if not expected.samefile(spec.origin):
        raise ImportError(
            f"{spec.origin} hides the package graphs that pyg_mllc needs, {expected.parent}; "
            "rename it, or start Python in another folder"
        )


if sys.argv[:1] == ["-m"] and "pyg_mllc.cli" in sys.orig_argv and not sys.flags.safe_path:
    del sys.path[0]  # `python -m` offers whatever lies in the current folder to every import
_check_graphs()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
