"""HTTP handlers with other arguments."""

from __future__ import annotations

from tina4_wsgi import Request, Response, Router


# mypy says type-var: Value of type variable "Handler" of "__call__" of "HandlerDecorator" cannot be
# pyright says reportArgumentType: too few positional parameters; expected 2 but received 1
@Router.get("/a")
def alone(request: Request) -> str:
    return request.path


# mypy says type-var: cannot be "Callable[[Response, Request], str]"
# pyright says reportArgumentType: Parameter 1: type "Request" is incompatible with type "Response"
@Router().post("/b")
def swapped(response: Response, request: Request) -> str:
    return request.path
