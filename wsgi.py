"""The chapter's examples as one WSGI application.

Serve it with `tina4-wsgi serve`, or with `gunicorn -k gevent wsgi:app`.
"""

from gevent import monkey

# Before any other import, so that every module below sees the patched standard library.
monkey.patch_all()

from pathlib import Path  # noqa: E402

from tina4_wsgi import App  # noqa: E402

app = App(root=Path(__file__).parent / "examples" / "chapter")
