"""Disturbs the workers of a running server and counts what its clients lose. See README.md here."""
