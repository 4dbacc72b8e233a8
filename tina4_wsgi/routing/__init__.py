"""Which callback a path belongs to, and the refusal of routes that can't work."""
