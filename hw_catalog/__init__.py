"""What exists: GPUs, machines, links, prices and measured kernel profiles, each number with its provenance."""
