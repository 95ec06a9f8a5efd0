"""Learn semantic segmentation from few labels, by correcting labels with graphs."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_mllc.inference.predictor import Predictor, load

__all__ = ["Predictor", "load"]


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


_check_graphs()


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported when asked for: `import pyg_mllc` stays quick
        from pyg_mllc.inference import predictor as prediction

        return getattr(prediction, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
