"""The subjects: one module for each, in the order of the table."""

from __future__ import annotations

from .kinto import KINTO
from .pgadmin import PGADMIN
from .radicale import RADICALE
from .trac import TRAC
from .wagtail import WAGTAIL

SUBJECTS = (TRAC, RADICALE, PGADMIN, WAGTAIL, KINTO)
BY_KEY = {subject.key: subject for subject in SUBJECTS}
