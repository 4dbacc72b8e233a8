// uWebSockets (C++) in Node, with the same limits as ours for messages and slow readers. With its shared compressor, or
// over TLS, where the environment asks for it.
"use strict";

const uws = require("uwebsockets");

const compresses = "BENCH_DEFLATE" in process.env;
const pem = process.env.BENCH_TLS;
const compression = compresses ? uws.SHARED_COMPRESSOR : uws.DISABLED;
const limits = { compression, maxPayloadLength: 65536, maxBackpressure: 1 << 20 };
const app = pem ? uws.SSLApp({ cert_file_name: pem, key_file_name: pem }) : uws.App();

app.ws("/ws/echo", {
  ...limits,
  message: (socket, message, isBinary) => socket.send(message, isBinary, compresses),
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
  message: (socket, message, isBinary) => app.publish(socket.getUserData().topic, message, isBinary, compresses),
});

app.listen("127.0.0.1", 0, (token) => {
  console.log(`http://127.0.0.1:${uws.us_socket_local_port(token)}`);
});
