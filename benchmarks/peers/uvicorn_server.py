"""uvicorn on uvloop with websockets and without a framework: one ASGI application, without
compression. Over TLS where the environment asks for it.
"""

import os
import socket
from collections import defaultdict

import uvicorn

rooms = defaultdict(set)
certificate = os.environ.get("BENCH_TLS")


async def app(scope, receive, send):
    """Serve one connection until it ends."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/ws/echo":
        while text := await next_text(receive):
            await send({"type": "websocket.send", "text": text})
        return
    members = rooms[scope["path"]]
    members.add(send)
    try:
        while text := await next_text(receive):
            for member in list(members):
                await member({"type": "websocket.send", "text": text})
    finally:
        members.discard(send)


async def next_text(receive):
    """Give the next message, None at the end."""
    return (await receive()).get("text")


listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
config = uvicorn.Config(
    app,
    loop="uvloop",
    ws="websockets-sansio",
    ws_per_message_deflate=False,
    log_level="error",
    lifespan="off",
    ssl_certfile=certificate,
    ssl_keyfile=certificate,
)
uvicorn.Server(config).run(sockets=[listener])
