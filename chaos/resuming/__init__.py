"""Cuts the lines of real clients, disturbs their service, and counts what they miss. See README.md
above.
"""
