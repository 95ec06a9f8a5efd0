"""Configurations of the command line, as Hydra groups."""
