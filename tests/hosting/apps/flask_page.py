"""A Flask app with a WebSocket beside its pages, for `flask run`."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from tina4_wsgi import App, Router

VERSION = "first"
router = Router()


@router.websocket("/ws/version")
def version(connection, event, data):
    if event == "open":
        connection.send(VERSION)
    if event == "close":
        print(f"closed with {connection.close_code}", flush=True)


app = Flask(__name__)


@app.get("/page")
def page():
    return VERSION


app.wsgi_app = App(app.wsgi_app, router=router, root=Path(__file__).parent)
