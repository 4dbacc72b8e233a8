"""The AppConfig that Django reads when the package is among INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig


class WebSocketsConfig(AppConfig):  # type: ignore[misc]  # Django ships no types
    """Makes `manage.py tina4serve` known; `wrap` works without it too."""

    name = "tina4_wsgi.contrib.django"
    label = "tina4_wsgi"
    verbose_name = "WebSocket routes"
