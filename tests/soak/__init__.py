"""Doors tried with wrong input, laws, engines, solvers with inputs drawn anew: none may end as a bug, hang or lie."""
