"""websockets on asyncio with uvloop, without compression."""

import asyncio
from collections import defaultdict

import uvloop
from websockets.asyncio.server import broadcast, serve

rooms = defaultdict(set)


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
    async with serve(handle, "127.0.0.1", 0, compression=None, backlog=2048) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.Event().wait()


uvloop.run(main())
