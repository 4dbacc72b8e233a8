"""pgAdmin 4: Flask with flask-login, sessions on the server, and Flask-SocketIO in it."""

from __future__ import annotations

import json
import os
import subprocess

from ..browser import Browser
from ..subject import ADA, BOB, PASSWORD, Site, Subject

CONFIG = """
import os
DATA_DIR = os.getcwd()
LOG_FILE = os.path.join(DATA_DIR, "pgadmin4.log")
SQLITE_PATH = os.path.join(DATA_DIR, "pgadmin4.db")
SESSION_DB_PATH = os.path.join(DATA_DIR, "sessions")
STORAGE_DIR = os.path.join(DATA_DIR, "storage")
KERBEROS_CCACHE_DIR = os.path.join(DATA_DIR, "krbccache")
AZURE_CREDENTIAL_CACHE_DIR = os.path.join(DATA_DIR, "azurecredentialcache")
CHECK_EMAIL_DELIVERABILITY = False
ALLOW_SPECIAL_EMAIL_DOMAINS = ["example"]
MASTER_PASSWORD_REQUIRED = False
UPGRADE_CHECK_ENABLED = False
"""

PAGES = (
    "/", "/login", "/misc/ping", "/browser/", "/browser/server_group/nodes/", "/preferences/",
    "/browser/js/utils.js", "/settings/get_tree_state/", "/favicon.ico", "/robots.txt", "/nothing",
    "/static/css/pgadmin.css", "/ws/groups", "/about/", "/socket.io/?EIO=4&transport=polling",
    "/socket.io/?EIO=3", "/user_management/current_user.json",
)  # fmt: skip


def _email(user: str) -> str:
    return f"{user}@legacy.example"


def _prepare(site: Site) -> None:
    (site.folder / "config_local.py").write_text(CONFIG)
