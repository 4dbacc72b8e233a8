"""Tests of apps in memory: `TestClient` talks HTTP and WebSocket to an app, without a network.

See docs/testing.md.
"""

from __future__ import annotations

from .client import TestClient
from .errors import HandshakeRefused, NotSettled, ReceiveTimeout
from .live_server import LiveServer, ServerFailed
from .websocket import WebSocket

__all__ = [
    "HandshakeRefused",
    "LiveServer",
    "NotSettled",
    "ReceiveTimeout",
    "ServerFailed",
    "TestClient",
    "WebSocket",
]
