"""aiohttp on uvloop; with compression, or over TLS, where the environment asks for it."""

import asyncio
import os
import ssl
from collections import defaultdict

import uvloop
from aiohttp import WSMsgType, web

rooms = defaultdict(set)
compress = "BENCH_DEFLATE" in os.environ
certificate = os.environ.get("BENCH_TLS")


async def echo(request):
    """Send each message back."""
    socket = web.WebSocketResponse(compress=compress)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


async def chat(request):
    """Send each message to everybody in the room."""
    socket = web.WebSocketResponse(compress=compress)
    await socket.prepare(request)
    members = rooms[request.path]
    members.add(socket)
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                for member in list(members):
                    await send(member, message.data)
    finally:
        members.discard(socket)
    return socket


async def send(socket, text):
    """Send to somebody who may have gone meanwhile."""
    try:
        await socket.send_str(text)
    except ConnectionError:
        pass


async def main():
    """Serve until killed."""
    app = web.Application()
    app.add_routes([web.get("/ws/echo", echo), web.get("/ws/chat/{room}", chat)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048, ssl_context=context).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


uvloop.run(main())
