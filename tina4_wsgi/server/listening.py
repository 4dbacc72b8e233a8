"""Where a server listens: on a port, or on a UNIX socket.

It works without gevent, for a process that only hands the socket on to others.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

SocketAddress: TypeAlias = "tuple[str, int] | tuple[str, int, int, int] | str"
"""What `getsockname` returns: host and port (two more numbers for IPv6), or a UNIX path."""

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7148
BACKLOG = 2_048  # many clients come back at once after a restart; the kernel caps it


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """The address that the user asked for.

    Attributes:
        host: an address or a name; an IPv6 address with or without its brackets.
        port: 0 for one that the kernel chooses.
        unix_path: of a UNIX socket, instead of host and port.
        is_secure: whether the server speaks TLS.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    unix_path: str | None = None
    is_secure: bool = False

    def listen(self) -> socket.socket:
        """Bind and listen.

        Raises:
            OSError: the address can't be bound; `why_not` says why in a sentence.
        """
        if self.unix_path is not None:
            return listen(socket.AF_UNIX, self.unix_path)
        host = self.host.strip("[]")
        return listen(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, self.port))

    def addresses(self, bound_to: SocketAddress, root: str = "") -> str:
        """Lay out where the server listens: lines for HTTP and WebSocket, or one for a UNIX socket.

        Args:
            bound_to: what `getsockname` returned.
            root: the path below which the application is served.
        """
        if self.unix_path is not None:
            return f"HTTP and WebSocket server running at unix:{self.unix_path}"
        url = self.url(bound_to, root)
        return (
            f"HTTP server running at {url}\nWebSocket server running at "
            f"{url.replace('http', 'ws', 1)}"
        )

    def url(self, bound_to: SocketAddress, root: str = "") -> str:
        """Return the URL of pages, without a slash at its end.

        Nobody knows the host of pages behind a UNIX socket, so it returns only the path there.

        Args:
            bound_to, root: as for `addresses`.
        """
        if self.unix_path is not None or isinstance(bound_to, str):
            return root
        host, port = bound_to[:2]
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"http{'s' if self.is_secure else ''}://{authority}{root}"

    def why_not(self, exc: OSError) -> str:
        """Return why the address can't be bound, and what to do."""
        if self.unix_path is not None:
            if exc.errno == errno.EADDRINUSE:
                return (
                    f"{self.unix_path} is already in use; stop its server, or choose another path "
                    "with --bind"
                )
            return f"can't listen on {self.unix_path}: {exc.strerror or exc}"

        if exc.errno == errno.EADDRINUSE:
            return (
                f"port {self.port} on {self.host} is already in use; "
                "stop the program that listens there, or choose another port with --port"
            )
        if exc.errno == errno.EACCES:
            return (
                f"port {self.port} is not open to this user; choose one of 1024 or above with "
                "--port"
            )
        if exc.errno == errno.EADDRNOTAVAIL or isinstance(exc, socket.gaierror):
            return f"{self.host} is no address of this machine; choose another with --host"
        return f"can't listen on {self.host}, port {self.port}: {exc.strerror or exc}"


def listen(family: int, address: SocketAddress, backlog: int = BACKLOG) -> socket.socket:
    """Bind and listen. The socket file of a killed server is replaced, that of a living one is not.

    Args:
        address: host and port, or the path of a UNIX socket.
    Raises:
        OSError: the address can't be bound.
    """
    listener = socket.socket(family)
    try:
        if isinstance(address, str):
            _remove_stale(Path(address))
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError:
            pass  # its server lives, and `bind` will fail with EADDRINUSE
