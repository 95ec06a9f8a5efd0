"""Training methods, one objective a file, one contract (see `Method`)."""

from pyg_mllc.methods.base import Method
from pyg_mllc.methods.fixmatch import FixMatch
from pyg_mllc.methods.instant import Instant
from pyg_mllc.methods.mean_teacher import Teacher
from pyg_mllc.methods.mllc import MLLC
from pyg_mllc.methods.prevmatch import PrevMatch
from pyg_mllc.methods.prototypes import Prototypes
from pyg_mllc.methods.pseudo_label_weight import PseudoLabelWeight
from pyg_mllc.methods.semi_supervised import SemiSupervised
from pyg_mllc.methods.snapshots import Snapshots
from pyg_mllc.methods.supervised import Supervised
from pyg_mllc.methods.unimatch import UniMatch
from pyg_mllc.methods.unimatch_v2 import UniMatchV2

__all__ = [
    "MLLC",
    "FixMatch",
    "Instant",
    "Method",
    "PrevMatch",
    "Prototypes",
    "PseudoLabelWeight",
    "SemiSupervised",
    "Snapshots",
    "Supervised",
    "Teacher",
    "UniMatch",
    "UniMatchV2",
]
