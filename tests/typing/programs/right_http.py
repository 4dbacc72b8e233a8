"""Handlers of HTTP beside a WebSocket."""

# pyright: strict

from __future__ import annotations

from tina4_wsgi import Request, Response, Router

router = Router()


@Router.get("/a")
@router.any("/a")
def page(request: Request, response: Response) -> str:
    return f"<p>{request.params.name}</p>"


@router.group("/api").delete("/b")
def remove(request: Request, response: Response) -> tuple[dict[str, int], int]:
    return {"removed": 1}, 202


router.put("/c", lambda request, response: response.json({"method": request.method}))
page(
    Request({}, router.match_http("/a", "GET").params, __import__("tina4_wsgi").App().config),
    Response(),
).upper()
