"""A scenario with everything it names read in, ready to be planned or simulated."""
