"""Training methods, one objective a file, one contract (see `Supervised`)."""

from pyg_mllc.methods.mllc import MLLC
from pyg_mllc.methods.prototypes import Prototypes
from pyg_mllc.methods.supervised import Supervised
from pyg_mllc.methods.teacher import Teacher

__all__ = ["MLLC", "Prototypes", "Supervised", "Teacher"]
