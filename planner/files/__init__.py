"""What leaves phasewise as a file: plans, schedules, request records, manifests of serving stacks."""
