"""Built-in data set of synthetic scenes."""
