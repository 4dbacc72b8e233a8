"""Counts and shows what a process does; no module below imports it."""
