"""What-if sweeps, frontiers and differences: plans beside plans."""
