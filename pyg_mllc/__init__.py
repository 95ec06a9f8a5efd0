"""Learn semantic segmentation from few labels, by correcting labels with graphs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_mllc.inference.predictor import Predictor, load

__all__ = ["Predictor", "load"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported when asked for: `import pyg_mllc` stays quick
        from pyg_mllc.inference import predictor as prediction

        return getattr(prediction, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
