"""A row of servers behind one breaker."""
