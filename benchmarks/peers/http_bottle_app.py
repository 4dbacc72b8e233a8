"""Bottle."""

import bottle

app = bottle.Bottle()


@app.get("/hello/<name>")
def hello(name):
    """Answer with JSON."""
    return {"hello": name}
