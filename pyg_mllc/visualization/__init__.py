"""Pictures of labels, samples and results."""
