"""Radicale, as its documentation has gunicorn serve it; RADICALE_CONFIG names its settings."""

from radicale import application

__all__ = ["application"]
