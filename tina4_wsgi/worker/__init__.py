"""A gunicorn worker that serves with our own server: `gunicorn -k tina4_wsgi.worker.Worker`."""

from __future__ import annotations

from .gunicorn_worker import FrontWorker as Worker

__all__ = ["Worker"]
