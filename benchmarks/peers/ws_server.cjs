// ws on Node; with compression, or over TLS, where the environment asks for it.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { WebSocketServer } = require("ws");

const rooms = new Map();
const pem = process.env.BENCH_TLS && fs.readFileSync(process.env.BENCH_TLS);
const server = pem ? https.createServer({ cert: pem, key: pem }) : http.createServer();
const perMessageDeflate = "BENCH_DEFLATE" in process.env;
const sockets = new WebSocketServer({ server, perMessageDeflate });

sockets.on("connection", (socket, request) => {
  if (request.url === "/ws/echo") {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    return;
  }
  if (!rooms.has(request.url)) rooms.set(request.url, new Set());
  const members = rooms.get(request.url);
  members.add(socket);
  socket.on("close", () => members.delete(socket));
  socket.on("message", (data, isBinary) => {
    for (const member of members) member.send(data, { binary: isBinary });
  });
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 2048 }, () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
