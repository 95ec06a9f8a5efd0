"""Training methods, one objective a file, one contract (see `Method`)."""

from pyg_mllc.methods.base import Method
from pyg_mllc.methods.fixmatch import FixMatch
from pyg_mllc.methods.mean_teacher import Teacher
from pyg_mllc.methods.mllc import MLLC
from pyg_mllc.methods.prototypes import Prototypes
from pyg_mllc.methods.pseudo_label_weight import PseudoLabelWeight
from pyg_mllc.methods.semi_supervised import SemiSupervised
from pyg_mllc.methods.supervised import Supervised
from pyg_mllc.methods.unimatch import UniMatch

__all__ = [
    "MLLC",
    "FixMatch",
    "Method",
    "Prototypes",
    "PseudoLabelWeight",
    "SemiSupervised",
    "Supervised",
    "Teacher",
    "UniMatch",
]
