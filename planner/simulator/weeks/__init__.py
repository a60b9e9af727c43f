"""A week at a time: flows decide, the core judges."""
