"""Measures tina4_wsgi and its peers side by side: `make bench`, or `python -m benchmarks
--help`.
"""
