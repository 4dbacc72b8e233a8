"""What a wsgi.py needs under `gunicorn --preload`, where nobody else patches in time."""

from gevent import monkey

monkey.patch_all()

from project.wsgi import application  # noqa: E402, F401
