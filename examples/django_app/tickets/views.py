"""The pages, as before there were live updates: forms and redirects, no JavaScript needed."""

from django import forms
from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from tickets.live import BOARD
from tickets.models import Ticket
from tina4_wsgi import position


class TicketForm(forms.ModelForm):
    """The form of a new ticket."""

    class Meta:
        model = Ticket
        fields = ("title", "is_urgent")


@login_required
@require_safe
def board(request):
    """Show all tickets."""
    # Before the tickets are read: the WebSocket brings what is saved from here on.
    since = position(BOARD)
    tickets = Ticket.objects.select_related("author")
    groups = [
        ("open", "Open", tickets.filter(is_done=False)),
        ("done", "Done", tickets.filter(is_done=True)),
    ]
    context = {"since": since, "groups": groups, "form": TicketForm()}
    return render(request, "tickets/board.html", context)


@login_required
@require_POST
def add(request):
    """Take a new ticket."""
    form = TicketForm(request.POST)
    if form.is_valid():
        form.instance.author = request.user
        form.save()
    return redirect("board")


@login_required
@require_POST
def toggle(request):
    """Mark a ticket as done, or as open again."""
    ticket = get_object_or_404(Ticket, pk=request.POST.get("ticket"))
    ticket.is_done = not ticket.is_done
    ticket.save()
    return redirect("board")
