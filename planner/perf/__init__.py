"""Physics: the time of a step, the memory of a KV cache, the ways to parallelise."""
