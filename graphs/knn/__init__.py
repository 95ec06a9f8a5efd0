"""Search for nearest neighbors: exact, approximate, in a window."""
