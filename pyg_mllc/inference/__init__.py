"""What a trained network is used for: prediction, explanation, correction of masks."""
