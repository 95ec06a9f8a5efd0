import pytest
import torch

from pyg_mllc.nn.evidence_calibration import estimate_label_confidence


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("sharpness", [1.0, 4.0])
def test_the_share_of_right_labels_is_found_by_evidence_that_is_itself_unsure(share, sharpness):
    log_posterior = (sharpness * torch.randn(20_000, 5)).log_softmax(1)
    truth = torch.distributions.Categorical(logits=log_posterior).sample()
    other = (truth + torch.randint(1, 5, truth.shape)) % 5
    label = torch.where(torch.rand(truth.shape) < share, other, truth)
    found = estimate_label_confidence(label, log_posterior)
    assert found == pytest.approx(1 - share, abs=0.03)


def test_most_labels_are_taken_to_be_right():
    label, against = torch.zeros(100, dtype=torch.long), torch.tensor([[-9.0, 0.0]]).expand(100, 2)
    assert 0.5 < estimate_label_confidence(label, against) < 0.51
    assert estimate_label_confidence(label[:0], against[:0]) == 0.8
