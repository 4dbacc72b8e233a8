"""Sends each ticket that is saved, wherever in the project, to every open board."""

import json

from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.template.loader import render_to_string

from tickets.models import Ticket
from tina4_wsgi import broadcast

BOARD = "/ws/board"


@receiver(post_save, sender=Ticket)
def announce(instance, **kwargs):
    """Send the ticket as the page shows it, once its transaction is committed."""
    html = render_to_string("tickets/_ticket.html", {"ticket": instance})
    message = json.dumps(
        {"ticket": instance.pk, "group": "done" if instance.is_done else "open", "html": html}
    )
    transaction.on_commit(lambda: broadcast(BOARD, message))
