"""`manage.py demo`: people and tickets to try the help desk with."""

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from tickets.models import Ticket

PEOPLE = ("ada", "grace")
TICKETS = (
    ("The projector in room 2 shows everything in pink", False, True),
    ("New keyboard for the front desk", False, False),
    ("The label printer has been out of paper since Monday", True, False),
)


class Command(BaseCommand):
    """Adds users and tickets unless they are there."""

    help = "Adds the users ada and grace (password: demo) and a few tickets."

    def handle(self, *args, **options):
        """Add users, then tickets."""
        User = get_user_model()
        for name in PEOPLE:
            if not User.objects.filter(username=name).exists():
                User.objects.create_user(name, password="demo")

        author = User.objects.get(username=PEOPLE[0])
        if not Ticket.objects.exists():
            for title, is_urgent, is_done in TICKETS:
                Ticket.objects.create(
                    title=title, is_urgent=is_urgent, is_done=is_done, author=author
                )

        self.stdout.write(f"log in as {' or '.join(PEOPLE)} with the password demo")
