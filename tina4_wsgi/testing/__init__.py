"""Testing apps in memory: `TestClient` talks HTTP and WebSocket to an app, in unittest and in pytest alike.

See docs/testing.md.
"""

from __future__ import annotations

from .client import TestClient
from .errors import HandshakeRefused, NotSettled, ReceiveTimeout
from .websocket import WebSocket

__all__ = ["HandshakeRefused", "NotSettled", "ReceiveTimeout", "TestClient", "WebSocket"]
