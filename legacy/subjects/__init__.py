"""The subjects: one module for each, in the order of the table."""

from __future__ import annotations

from .radicale import RADICALE

SUBJECTS = (RADICALE,)
BY_KEY = {subject.key: subject for subject in SUBJECTS}
