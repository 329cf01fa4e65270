"""What is worth keeping of what was said."""
