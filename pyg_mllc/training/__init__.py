"""Training: a thin Lightning adapter around any method."""

from pyg_mllc.training.config import TrainerSettings
from pyg_mllc.training.module import TrainingModule
from pyg_mllc.training.trainer import train

__all__ = ["TrainerSettings", "TrainingModule", "train"]
