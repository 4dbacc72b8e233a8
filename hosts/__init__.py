"""Tries every host server that the package runs under, and writes docs/hosts.md. See README.md
here.
"""
