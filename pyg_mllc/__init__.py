"""Learn semantic segmentation from few labels, by correcting labels with graphs."""
