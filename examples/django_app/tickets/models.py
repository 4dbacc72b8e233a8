"""The tables of the help desk."""

from django.conf import settings
from django.db import models


class Ticket(models.Model):
    """Something that a user wants done."""

    title = models.CharField(max_length=120)
    is_urgent = models.BooleanField(default=False)
    is_done = models.BooleanField(default=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self):
        return self.title
