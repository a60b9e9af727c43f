"""Predictions beside measured systems: rows of published runs, replayed as they were run."""
