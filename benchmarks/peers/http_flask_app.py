"""Flask."""

from flask import Flask

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name):
    """Answer with JSON."""
    return {"hello": name}
