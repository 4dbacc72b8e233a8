// ws on Node, without compression.
"use strict";

const http = require("node:http");
const { WebSocketServer } = require("ws");

const rooms = new Map();
const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

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
