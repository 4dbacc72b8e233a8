"""What an HTTP handler is given, and what its result becomes."""
