"""Processes above those that serve: they start, watch and replace them."""
