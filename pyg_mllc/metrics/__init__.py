"""Metrics of labels: overlap, outlines, calibration."""
