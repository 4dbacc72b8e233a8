"""The host servers: what they are called, which versions of gunicorn they come in, and how each is
started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OLD_GUNICORNS = ("20.1.0", "21.2.0", "22.0.0", "23.0.0")
NEWEST = "newest"
GUNICORNS = (*OLD_GUNICORNS, NEWEST)
"""The versions of gunicorn that are tried; the newest is what pip finds on the day of the run."""

UWSGI = "uwsgi"
"""The environment with uWSGI in it, which pip builds from source."""


@dataclass(frozen=True)
class Host:
    """One kind of server.

    Attributes:
        key: how it is named on the command line.
        label: how users know it.
        worker_class: of gunicorn; "" for another server.
        answers_first: whether it says 101 before any application is asked.
        runs_pywsgi: whether gunicorn leaves HTTP to gevent's pywsgi.
        uwsgi_options: how uWSGI runs requests; () for another server.
        distribution: whose version is shown, for servers that come with another package; "" for
            those of Python and of ours.
        has_tls, has_unix: whether it does TLS itself, and listens on UNIX sockets.
    """

    key: str
    label: str
    worker_class: str = ""
    answers_first: bool = False
    runs_pywsgi: bool = False
    uwsgi_options: tuple[str, ...] = ()
    distribution: str = ""
    has_tls: bool = True
    has_unix: bool = True

    @property
    def is_gunicorn(self) -> bool:
        """Whether it comes in versions of gunicorn."""
        return bool(self.worker_class)

    @property
    def is_uwsgi(self) -> bool:
        """Whether it is uWSGI, in one of its ways to run requests."""
        return bool(self.uwsgi_options)

    @property
    def has_workers(self) -> bool:
        """Whether a master is above it, which takes signals and replaces it."""
        return self.is_gunicorn or self.is_uwsgi

    @property
    def is_plain(self) -> bool:
        """Whether it is one process that knows nothing of gevent; see `plain_server`."""
        return not self.has_workers and self.key != "own"

    @property
    def versions(self) -> Sequence[str]:
        """Which of the environments it is tried in."""
        if self.is_uwsgi:
            return (UWSGI,)
        return GUNICORNS if self.is_gunicorn else (NEWEST,)


HOSTS = (
    Host("own", "`tina4-wsgi serve`"),
    Host("gevent", "`gunicorn -k gevent`", "gevent"),
    Host("pywsgi", "`gunicorn -k gevent_pywsgi`", "gevent_pywsgi", runs_pywsgi=True),
    Host(
        "gws",
        "`gunicorn -k geventwebsocket…GeventWebSocketWorker`",
        "geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
        answers_first=True,
        runs_pywsgi=True,
    ),
    Host("worker", "`gunicorn -k tina4_wsgi.worker.Worker`", "tina4_wsgi.worker.Worker"),
    Host("sync", "`gunicorn -k sync`", "sync"),
    Host("gthread", "`gunicorn -k gthread`", "gthread"),
    Host("uwsgi-gevent", "`uwsgi --gevent`", uwsgi_options=("--gevent", "20")),
    Host("uwsgi-threads", "`uwsgi --threads`", uwsgi_options=("--threads", "4")),
    Host("uwsgi", "`uwsgi --enable-threads`", uwsgi_options=("--enable-threads",)),
    Host("werkzeug", "`flask run`, Werkzeug", distribution="werkzeug"),
    Host(
        "django",
        "`manage.py runserver`, Django",
        distribution="django",
        has_tls=False,
        has_unix=False,
    ),
    Host("wsgiref", "`wsgiref`", has_tls=False, has_unix=False),
    Host("waitress", "`waitress`", distribution="waitress", has_tls=False),
)

BY_KEY = {host.key: host for host in HOSTS}
