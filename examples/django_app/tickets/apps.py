"""The one app of the project."""

from django.apps import AppConfig


class TicketsConfig(AppConfig):
    """Connects the signals when Django is ready."""

    name = "tickets"

    def ready(self):
        """Import the receivers, which registers them."""
        from tickets import live  # noqa: F401
