"""Training methods, one objective a file, one contract (see `Method`)."""

from pyg_mllc.methods.method import Method
from pyg_mllc.methods.mllc import MLLC
from pyg_mllc.methods.prototypes import Prototypes
from pyg_mllc.methods.supervised import Supervised
from pyg_mllc.methods.teacher import Teacher

__all__ = ["MLLC", "Method", "Prototypes", "Supervised", "Teacher"]
