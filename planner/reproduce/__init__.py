"""Published results beside ours: claims, and what it takes to weigh them."""
