"""The engine: one source, in the part of Python that Numba compiles."""
