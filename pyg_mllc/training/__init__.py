"""Training: a thin Lightning adapter around any method."""

from pyg_mllc.training.config import TrainerConfig
from pyg_mllc.training.module import TrainingModule
from pyg_mllc.training.trainer import train

__all__ = ["TrainerConfig", "TrainingModule", "train"]
