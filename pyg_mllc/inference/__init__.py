"""Uses of a trained network: prediction, explanation, correction of masks."""
