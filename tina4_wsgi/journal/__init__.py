"""What was said where history is kept: one order for all, and a position in it for everybody."""
