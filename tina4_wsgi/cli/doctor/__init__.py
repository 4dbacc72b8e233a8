"""`tina4-wsgi doctor`: what is often wrong around an app, examined and told."""
