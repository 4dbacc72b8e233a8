// Many pages with the browser client in one process; each thing that happens to one is a line of JSON.
// The first argument is JSON: { url, script, rooms, first, count, seed }; see clients.py.
"use strict";

const { WebSocket: Socket } = require("ws");
const { note, seedMathRandom } = require("./notes.cjs");

const LOOK_MS = 20;
const MOST_AWAY_MS = 1_500; // a client comes back after 0 to this many milliseconds

// As in browsers: a failed handshake ends in onclose, and `error` needs no listener.
class WebSocket extends Socket {
  constructor(url, protocols) {
    super(url, protocols, { perMessageDeflate: false });
    this.on("error", () => {});
  }
}

const { url, script, rooms, first, count, seed } = JSON.parse(process.argv[2]);
seedMathRandom(seed);
globalThis.WebSocket = WebSocket;
require(script);

for (let client = first; client < first + count; client++) {
  const room = `r${client % rooms}`;
  const write = (what, text, connection) => note({ client, room, what, text, position: connection.position });
  const page = globalThis.tina4.connect(`${url}/ws/room/${room}`, {
    baseMs: MOST_AWAY_MS,
    capMs: MOST_AWAY_MS,
    onOpen: (connection) => write("open", "", connection),
    onClose: ({ code, reason }, connection) => write("close", `${code} ${reason}`, connection),
    onMissed: (connection) => write("missed", "", connection),
    onMessage: (text, connection) => write("heard", text, connection),
  });
  // The greeting is a message of its own, which a line that is cut right behind its opening may not bring.
  const looking = setInterval(() => {
    if (page.resumed === undefined) return;
    clearInterval(looking);
    write("greeted", "", page);
  }, LOOK_MS);
}
