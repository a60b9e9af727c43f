"""Plans over time: made, served by the simulator, compared."""
