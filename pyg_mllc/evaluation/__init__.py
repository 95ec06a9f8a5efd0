"""Evaluation of labels over a whole data set."""
