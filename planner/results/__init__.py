"""What planner returns: frozen nouns without behaviour."""
