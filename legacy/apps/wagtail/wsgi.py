"""Wagtail with a WebSocket for its editors, which hears of pages that are published."""

from before import application
from django.db import transaction
from django.dispatch import receiver
from wagtail.signals import page_published

from tina4_wsgi import Router, broadcast
from tina4_wsgi.contrib.django import permission_required, wrap


@Router.websocket("/ws/pages", auth=permission_required("wagtailadmin.access_admin"))
def pages(connection, event, data):
    pass  # the page only listens


@receiver(page_published)
def tell(sender, instance, **facts):
    transaction.on_commit(lambda: broadcast("/ws/pages", {"published": instance.url}))


app = wrap(application)
