"""Figures of labels, samples, explanations and results."""
