// Compiled by the tests, never run: the types let through what works, and nothing else.
import { connect, type Connection, type Ending, type State } from "/__tina4/tina4-ws.mjs";

const room: Connection = connect("ws/room/general", {
  protocols: ["v2", "v1"],
  token: async () => (await fetch("/token")).text(),
  base: new URL("https://site.test/shop/"),
  since: "k3x9Qz1a.0-42",
  onMissed: (connection) => console.log(connection.position),
  onOpen: (connection) => connection.sendJson({ type: "set-name", name: "Ada" }),
  onMessage: (data: string | ArrayBuffer) => console.log(data),
  onJson: ({ type, text }) => console.log(type, text),
  onClose: ({ code, reason }: Ending) => console.log(code, reason),
  onState: (state: State, connection) => console.log(state, connection.retryAt),
  giveUpOn: [4000],
  maxQueued: 10,
  baseMs: 500,
  capMs: 30_000,
});

const taken: boolean = room.send("hello") && room.send(new Uint8Array([1])) && room.send(new Blob([]));
const known: [State, number, string, string] = [room.state, room.code, room.reason, room.protocol];
const position: string = room.position;
const returned: boolean | null | undefined = room.resumed;
connect("/ws/x", { since: position, onMissed: () => location.reload() });
room.retry();
room.close(4000, "enough");
tina4.connect("/ws/x", { token: "t", protocols: "v1" }).close();
connect("/ws/x", { protocols: async () => ["v1", await (await fetch("/ticket")).text()] });
connect("/ws/x", { protocols: () => null, token: () => undefined });
console.log(taken, known, returned);

// @ts-expect-error: objects are sent by sendJson
room.send({ type: "chat" });
// @ts-expect-error: the state is told, not set
room.state = "open";
// @ts-expect-error: the position is told, not set
room.position = "";
// @ts-expect-error: it may be unknown, or a newcomer
const all: boolean = room.resumed;
// @ts-expect-error: positions are texts
connect("/ws/x", { since: 42 });
// @ts-expect-error: names, not numbers
connect("/ws/x", { protocols: () => [1] });
// @ts-expect-error: there is no such option
connect("/ws/x", { onopen() {} });
// @ts-expect-error: there is no such state
const wrong: boolean = room.state === "online";
