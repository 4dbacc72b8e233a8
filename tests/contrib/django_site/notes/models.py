"""The one table of the project."""

from django.db import models


class Note(models.Model):
    """What a callback wrote down."""

    text = models.CharField(max_length=200)
