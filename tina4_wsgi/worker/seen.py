"""A request and its response as gunicorn's hooks and its logger see them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..server.variable_names import variable_name

if TYPE_CHECKING:
    from ..server.listening import SocketAddress
    from ..server.request_head import RequestHead

_PLAIN = ("CONTENT_LENGTH", "CONTENT_TYPE")


class SeenRequest:
    """What there is of gunicorn's own request object.

    Attributes:
        method, uri, query, fragment, scheme: as in gunicorn.
        path: of the target, percent-encoded.
        version: (1, 1) for HTTP/1.1.
        headers: names in capitals, with their values; `pre_request` may change them.
        trailers: none.
        peer_addr, remote_addr: the client's address.
        proxy_protocol_info: none.
    """

    __slots__ = (
        "fragment",
        "headers",
        "method",
        "path",
        "peer_addr",
        "proxy_protocol_info",
        "query",
        "remote_addr",
        "scheme",
        "trailers",
        "uri",
        "version",
    )

    def __init__(self, head: RequestHead, scheme: str, address: SocketAddress) -> None:
        self.method = head.method
        self.uri = head.target
        self.path = head.target.partition("?")[0]
        self.query = head.query
        self.fragment = ""
        self.version = (1, 0) if head.version == "HTTP/1.0" else (1, 1)
        self.headers = [(_field_name(name), value) for name, value in head.variables.items()]
        self.trailers: list[tuple[str, str]] = []
        self.scheme = scheme
        self.remote_addr = self.peer_addr = address
        self.proxy_protocol_info: dict[str, object] = {}

    def give_back(self, head: RequestHead, before: SeenRequest) -> None:
        """Put into a head what a hook has changed since `before`."""
        if self.headers != before.headers:
            head.variables = _variables(self.headers)
        if self.path != before.path:
            head.path = unquote(self.path, "latin-1")
        head.method, head.query, head.target = self.method, self.query, self.uri


class SeenResponse:
    """What there is of gunicorn's own response object.

    Attributes:
        status: as in "200 OK".
        status_code: the number in it.
        headers: those that the application set.
        sent: bytes of the body.
        headers_sent: whether the client was answered at all.
        must_close: whether the connection ends with it.
    """

    __slots__ = ("headers", "headers_sent", "must_close", "sent", "status", "status_code")

    def __init__(
        self,
        status: str,
        headers: list[tuple[str, str]],
        sent: int,
        headers_sent: bool,
        must_close: bool,
    ) -> None:
        self.status = status
        self.status_code = int(status.partition(" ")[0])
        self.headers = headers
        self.sent = sent
        self.headers_sent = headers_sent
        self.must_close = must_close

    @property
    def response_length(self) -> int:
        """The same as `sent`."""
        return self.sent

    def should_close(self) -> bool:
        """Return `must_close`."""
        return self.must_close


def _field_name(variable: str) -> str:
    return variable.removeprefix("HTTP_").replace("_", "-")


def _variables(headers: list[tuple[str, str]]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for name, value in headers:
        variable = variable_name(str(name).encode("latin-1"))
        if variable and variable in variables and variable not in _PLAIN:
            value = f"{variables[variable]},{value}"
        if variable:
            variables[variable] = value
    return variables
