"""Counts and shows what a process does; nothing below it knows of it."""
