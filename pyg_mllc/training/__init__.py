"""Training: a thin Lightning adapter around any method."""

from pyg_mllc.training.module import TrainingModule
from pyg_mllc.training.run import train
from pyg_mllc.training.settings import TrainerSettings

__all__ = ["TrainerSettings", "TrainingModule", "train"]
