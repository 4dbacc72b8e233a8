"""The server of our own: gevent's pywsgi, with a stricter reading of requests and upgrades that it can hand over."""
