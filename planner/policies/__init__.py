"""Behaviour: pure functions shared by the envelope and the simulator."""
