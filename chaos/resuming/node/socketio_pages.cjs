// The same as pages.cjs, by Socket.IO's client.
"use strict";

const { io } = require("socket.io-client");
const { note, seedMathRandom } = require("./notes.cjs");

const MEAN_AWAY_MS = 750; // 0 to twice as many milliseconds, as in pages.cjs

const { url, rooms, first, count, seed } = JSON.parse(process.argv[2]);
seedMathRandom(seed);

for (let client = first; client < first + count; client++) {
  const room = `r${client % rooms}`;
  const write = (what, text = "") => note({ client, room, what, text });
  const socket = io(url.replace("ws", "http"), {
    transports: ["websocket"],
    forceNew: true,
    query: { room },
    timeout: 10_000,
    reconnectionDelay: MEAN_AWAY_MS,
    reconnectionDelayMax: MEAN_AWAY_MS,
    randomizationFactor: 1,
  });
  let isFirst = true;
  socket.on("connect", () => {
    write("open", socket.recovered ? "recovered" : "");
    // What Socket.IO's documentation tells a page to look at.
    if (!isFirst && !socket.recovered) write("missed");
    isFirst = false;
  });
  socket.on("disconnect", (reason) => {
    write("close", reason);
    // After these the client doesn't come back by itself.
    if (reason === "io server disconnect") socket.connect();
  });
  socket.on("said", (text) => write("heard", text));
}
