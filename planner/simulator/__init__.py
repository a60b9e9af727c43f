"""Judgement: an event simulation of the cluster that serves the workload on a plan."""
