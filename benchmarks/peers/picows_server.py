"""picows (Cython) on uvloop; it gives frames, and does not check that text is UTF-8. Over TLS where
the environment asks for it.
"""

import asyncio
import os
import ssl
from collections import defaultdict

import uvloop
from picows import WSListener, WSMsgType, ws_create_server

rooms = defaultdict(set)
certificate = os.environ.get("BENCH_TLS")


class Echo(WSListener):
    """Sends each message back."""

    def on_ws_frame(self, transport, frame):
        """Handle one frame; messages of the load generator are one frame each."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_bytes())


class Chat(WSListener):
    """Sends each message to everybody in the room."""

    def __init__(self, room):
        self.members = rooms[room]

    def on_ws_connected(self, transport):
        """Join the room."""
        self.members.add(transport)

    def on_ws_disconnected(self, transport):
        """Leave the room."""
        self.members.discard(transport)

    def on_ws_frame(self, transport, frame):
        """Handle one frame."""
        if frame.msg_type == WSMsgType.CLOSE:
            self.members.discard(transport)
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        message = frame.get_payload_as_bytes()
        for member in self.members:
            member.send(frame.msg_type, message)


def listener_for(request):
    """Choose by path."""
    path = request.path.decode()
    return Echo() if path == "/ws/echo" else Chat(path)


async def main():
    """Serve until killed."""
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await ws_create_server(listener_for, "127.0.0.1", 0, ssl=context, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


uvloop.run(main())
