"""What if: change one thing, plan again, compare."""
