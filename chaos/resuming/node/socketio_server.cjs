// rooms_app.py by Socket.IO: one process that recovers from memory, or several with Redis Streams.
// Environment: CHAOS_PORT, CHAOS_WORKERS, and CHAOS_REDIS for the second kind.
"use strict";

const cluster = require("node:cluster");
const http = require("node:http");
const { Server } = require("socket.io");

const { CHAOS_PORT, CHAOS_WORKERS, CHAOS_REDIS } = process.env;
const KEPT_MS = 120_000;
const MOST_STOP_MS = 2_000;

async function adapter() {
  if (!CHAOS_REDIS) return {};
  const { createClient } = require("redis");
  const { createAdapter } = require("@socket.io/redis-streams-adapter");
  const client = createClient({ url: CHAOS_REDIS });
  client.on("error", (error) => console.error(`redis: ${error.message}`));
  await client.connect();
  return { adapter: createAdapter(client) };
}

async function serve() {
  let io;
  const server = http.createServer((request, response) => {
    const said = request.method === "POST" && /^\/say\/(\w+)$/.exec(request.url);
    if (!said) return void response.writeHead(404).end();
    let text = "";
    request.on("data", (chunk) => (text += chunk));
    request.on("end", () => {
      io.to(said[1]).emit("said", text);
      response.writeHead(204).end();
    });
  });
  io = new Server(server, {
    transports: ["websocket"],
    connectionStateRecovery: { maxDisconnectionDuration: KEPT_MS, skipMiddlewares: true },
    ...(await adapter()),
  });
  io.on("connection", (socket) => socket.join(socket.handshake.query.room));
  process.on("SIGTERM", () => {
    io.close(() => process.exit());
    setTimeout(() => process.exit(), MOST_STOP_MS);
  });
  await new Promise((ready) => server.listen({ host: "127.0.0.1", port: +CHAOS_PORT, backlog: 2048 }, ready));
  return server.address().port;
}

async function keep() {
  let isStopping = false;
  let port = 0;
  cluster.on("exit", () => {
    if (!isStopping) cluster.fork({ CHAOS_PORT: port });
    else if (!Object.keys(cluster.workers).length) process.exit();
  });
  process.on("SIGTERM", () => {
    isStopping = true;
    for (const worker of Object.values(cluster.workers)) worker.process.kill();
  });
  let listening = 0;
  cluster.on("listening", (worker, address) => {
    port = address.port;
    if (++listening === +CHAOS_WORKERS) console.log(`http://127.0.0.1:${port}`);
  });
  for (let number = 0; number < +CHAOS_WORKERS; number++) cluster.fork();
}

if (+CHAOS_WORKERS === 1) serve().then((port) => console.log(`http://127.0.0.1:${port}`));
else if (cluster.isPrimary) keep();
else serve();
