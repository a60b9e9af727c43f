"""Differences between two plans, and the way from one to the other."""
