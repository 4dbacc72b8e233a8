"""Trac: tickets and a wiki; a cookie of its own after a login by HTTP's basic authentication."""

from __future__ import annotations

import base64
import crypt
import subprocess
