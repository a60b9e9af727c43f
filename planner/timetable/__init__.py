"""Plans over time: how they are made, served by the simulator, kept in files and compared."""
