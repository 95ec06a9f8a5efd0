"""Measurement of a whole set of images."""
