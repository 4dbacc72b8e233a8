"""WebSocket routes inside a framework: one module for each, such as `tina4_wsgi.contrib.flask`.

The package itself imports none of them, and none needs another.
"""
