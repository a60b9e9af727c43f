"""What people see: the plan as text."""
