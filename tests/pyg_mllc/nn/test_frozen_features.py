from functools import partial

import pytest
import torch

from pyg_mllc.errors import InputError
from pyg_mllc.nn import FrozenFeatures

FROZEN = partial(FrozenFeatures, name="test_resnet", weights=None)


def test_frozen_features_stay_and_stand_beside_the_embedding():
    encoder = FROZEN(feature_dim=8).train()
    assert not any(m.training for m in encoder.modules())
    assert not any(p.requires_grad for p in encoder.parameters())
    maps = encoder(torch.rand(2, 3, 48, 64), torch.randn(2, 8, 6, 8))
    assert maps.shape == (2, encoder.feature_dim, 6, 8)
    assert torch.allclose(maps[:, :8].norm(dim=1), torch.ones(2, 6, 8), atol=1e-5)
    alone = FROZEN(feature_dim=8, embedding=False)
    assert alone.feature_dim == encoder.feature_dim - 8
    with pytest.raises(InputError, match=r"none of \[5\]"):
        FROZEN(feature_dim=8, strides=[5])
