import torch

from pyg_mllc.methods import Prototypes
from pyg_mllc.typing import IGNORE


def test_first_features_set_a_prototype_and_later_ones_move_it():
    prototypes = Prototypes(3, 2, momentum=0.75)
    prototypes.update(torch.tensor([[2.0, 0.0], [0.0, 5.0]]), torch.tensor([0, IGNORE]))
    assert prototypes.mean.tolist() == [[1, 0], [0, 0], [0, 0]]
    assert prototypes.seen.tolist() == [True, False, False]
    prototypes.update(torch.tensor([[0.0, 3.0], [0.0, 1.0]]), torch.tensor([0, 2]))
    assert prototypes.mean.tolist() == [[0.75, 0.25], [0, 0], [0, 1]]
