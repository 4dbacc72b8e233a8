"""A Flask app that is live, and served as it is."""

from __future__ import annotations

from flask import Flask

from tina4_wsgi import Router, broadcast
from tina4_wsgi.contrib.flask import Live

app = Flask(__name__)
live = Live(app, router=Router())


@live.websocket("/ws/orders")
def orders(connection, event, data):
    """Only listen."""


@app.get("/order/<text>")
def order(text):
    broadcast("/ws/orders", text)
    return "thanks"
