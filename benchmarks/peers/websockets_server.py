"""websockets on asyncio with uvloop; with its own compression, or over TLS, where the environment
asks for it.
"""

import asyncio
import os
import ssl
from collections import defaultdict

import uvloop
from websockets.asyncio.server import broadcast, serve

rooms = defaultdict(set)
compression = "deflate" if "BENCH_DEFLATE" in os.environ else None
certificate = os.environ.get("BENCH_TLS")


async def handle(connection):
    """Serve one connection until it ends."""
    path = connection.request.path
    if path == "/ws/echo":
        async for message in connection:
            await connection.send(message)
        return
    members = rooms[path]
    members.add(connection)
    try:
        async for message in connection:
            broadcast(members, message)
    finally:
        members.discard(connection)


async def main():
    """Serve until killed."""
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    options = {"compression": compression, "ssl": context, "backlog": 2048}
    async with serve(handle, "127.0.0.1", 0, **options) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.Event().wait()


uvloop.run(main())
