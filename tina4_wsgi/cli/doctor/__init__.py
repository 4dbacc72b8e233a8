"""`tina4-wsgi doctor`: looks for what is often wrong around an app, and reports it."""
