"""Wraps applications that others wrote, and tries that they gained WebSockets and lost nothing."""
