"""What one instance carries of each request class, and arithmetic on candidate plans."""
