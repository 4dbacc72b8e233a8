"""The pages: the matrix of `tests/support/same_answers.py`, log-in and log-out, and what tests ask
for.
"""

from django.urls import path, re_path

from project import views

urlpatterns = [
    path("text", views.text),
    path("echo", views.echo),
    path("form", views.form),
    path("stream", views.stream),
    path("stream-fails", views.stream_fails),
    path("large", views.large),
    path("empty", views.empty),
    path("redirect", views.redirect_to_text),
    path("cookies", views.cookies),
    path("session", views.session),
    path("error", views.error),
    path("refused", views.refused),
    path("cached", views.cached),
    path("file", views.file),
    re_path("^path/(.*)$", views.path),
    path("login", views.log_in),
    path("logout", views.log_out),
    path("deactivate", views.deactivate),
    path("state", views.state),
    path("say", views.say),
]
