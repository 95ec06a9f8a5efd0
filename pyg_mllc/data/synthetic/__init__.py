"""Built-in images."""
