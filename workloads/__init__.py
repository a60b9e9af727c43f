"""What is asked: models, traces, length and arrival distributions, classes and service-level objectives."""
