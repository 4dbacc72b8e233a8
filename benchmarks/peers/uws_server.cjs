// uWebSockets (C++) in Node, without compression; the same limits as ours for messages and slow readers.
"use strict";

const uws = require("uwebsockets");

const limits = { compression: uws.DISABLED, maxPayloadLength: 65536, maxBackpressure: 1 << 20 };
const app = uws.App();

app.ws("/ws/echo", {
  ...limits,
  message: (socket, message, isBinary) => socket.send(message, isBinary),
});

app.ws("/ws/chat/:room", {
  ...limits,
  upgrade: (response, request, context) => {
    response.upgrade(
      { topic: request.getUrl() },
      request.getHeader("sec-websocket-key"),
      request.getHeader("sec-websocket-protocol"),
      request.getHeader("sec-websocket-extensions"),
      context,
    );
  },
  open: (socket) => socket.subscribe(socket.getUserData().topic),
  message: (socket, message, isBinary) => app.publish(socket.getUserData().topic, message, isBinary),
});

app.listen("127.0.0.1", 0, (token) => {
  console.log(`http://127.0.0.1:${uws.us_socket_local_port(token)}`);
});
