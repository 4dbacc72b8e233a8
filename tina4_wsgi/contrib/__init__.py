"""WebSocket routes inside a framework: one module for each, `tina4_wsgi.contrib.flask` and its
neighbours.

None of them is imported by the package itself, and none needs another.
"""
