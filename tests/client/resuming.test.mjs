// Routes that keep history mark their messages; a client that comes back gets what it missed, once, or is told.
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { test } from "node:test";
import { ME, World, settle } from "./world.mjs";

/** Connect to a route that keeps history, which greets. Gives the connection. */
async function greeted(world, greeting = "k3x.0-42.n", options = {}) {
  const connection = await world.open("ws/x", options);
  await world.receive(`@${ME}.${greeting}:`);
  return connection;
}

/** Lose the connection and come back; without a greeting the server has not spoken yet. */
async function comeBack(world, greeting) {
  world.luck = 0;
  await world.end();
  await world.clock.pass(0);
  await world.accept();
  if (greeting) await world.receive(`@${ME}.${greeting}:`);
}

/** Hear several messages, one after the other. */
async function hear(world, ...messages) {
  for (const message of messages) await world.receive(message);
}

const bytes = (text) => new TextEncoder().encode(text).buffer;
const text = (data) => (typeof data === "string" ? data : new TextDecoder().decode(data));
const heard = (world) => world.log.filter(([name]) => name === "onMessage").map(([, data]) => text(data));
const misses = (world) => world.log.filter(([name]) => name === "onMissed").length;
const asked = (world) => new URL(world.socket.url).searchParams.get("tina4");

test("each client calls itself by twelve characters of its own, at each of its connections", async () => {
  const names = [];
  for (let page = 0; page < 20; page++) {
    const world = new World();
    world.context.crypto = webcrypto;
    await world.open();
    await comeBack(world);
    const [first, second] = world.sockets.map(({ url }) => /\?tina4=1\.([A-Za-z0-9_-]{12})$/.exec(url)[1]);
    assert.equal(first, second);
    names.push(first);
  }

  assert.equal(new Set(names).size, 20);
});

test("a newcomer hears messages without their marks", async () => {
  const world = new World();
  const connection = await greeted(world);

  await hear(world, "#k3x.0-42:", "0-43:kept", ":private", "0-44:a:b", ":", "0-45:two\nlines");

  assert.deepEqual(heard(world), ["kept", "private", "a:b", "", "two\nlines"]);
  assert.equal(connection.resumed, null);
  assert.equal(misses(world), 0);
});

test("the greeting itself and other empty marks are no messages", async () => {
  const world = new World();
  await greeted(world);

  await hear(world, "#k3x.0-42:", "#:", "#k3y.0-0:");

  assert.deepEqual(world.log.slice(2), [["onOpen", undefined]]);
});

test("JSON is parsed behind its mark", async () => {
  const world = new World();
  const values = [];
  await greeted(world, "k3x.0-42.n", { onJson: (value) => values.push(value) });

  await hear(world, '0-43:{"a": 1}', ":[2]", ":{no");

  assert.deepEqual(values.map((value) => JSON.stringify(value)), ['{"a":1}', "[2]"]);
  assert.deepEqual(heard(world), ["{no"]);
});

test("bytes are marked by the same characters", async () => {
  const world = new World();
  const connection = await greeted(world);
  await hear(world, "#k3x.0-42:");

  await hear(world, bytes("0-43:a:b"), bytes(":c"), bytes(":"), bytes(`0-44:${"long ".repeat(50_000)}`));

  assert.deepEqual(heard(world), ["a:b", "c", "", "long ".repeat(50_000)]);
  assert.ok(world.log.slice(3).every(([, data]) => data instanceof ArrayBuffer));
  assert.equal(connection.position, "k3x.0-44");
});

test("bytes stay what they are behind a mark", async () => {
  const world = new World();
  const got = [];
  await greeted(world, "k3x.0-42.n", { onMessage: (data) => got.push(...new Uint8Array(data)) });

  await world.receive(new Uint8Array([58, 0, 255, 58, 128]).buffer);

  assert.deepEqual(got, [0, 255, 58, 128]);
});

test("marks of a newer server are skipped with their messages", async () => {
  const world = new World();
  const connection = await greeted(world);
  await hear(world, "#k3x.0-42:", "0-43:a");

  await hear(
    world,
    ...["?7:ask", "=7:answer", "!7:failure", "new:b", "0-44-1:c", "-:d", " :e", "no mark", "0-45", "", "@:f"],
    ...["@other.k3z.0-9.g:", `@${ME}.k3z.0-9.z:`, `@${ME}:`],
    ...["?7:g", "no mark", `${"x".repeat(200)}:h`, ""].map(bytes),
  );
  await hear(world, "0-44:z");

  assert.deepEqual(heard(world), ["a", "z"]);
  assert.deepEqual([connection.position, connection.resumed, misses(world)], ["k3x.0-44", null, 0]);
  assert.deepEqual(world.reported, []);
});

test("who comes back tells the position, and has all that was missed", async () => {
  const world = new World();
  const connection = await greeted(world);
  await hear(world, "#k3x.0-42:", "0-43:a");

  await comeBack(world, "k3x.0-43.y");
  await hear(world, "0-44:b", "0-45:c", "#k3x.0-45:", "0-46:d");

  assert.equal(asked(world), `1.${ME}.k3x.0-43`);
  assert.equal(connection.resumed, true);
  assert.equal(misses(world), 0);
  assert.deepEqual(heard(world), ["a", "b", "c", "d"]);
  assert.equal(connection.position, "k3x.0-46");
});

test("a gap is told once, before any message, and the position is the server's", async () => {
  const world = new World();
  const known = [];
  const note = (own) => known.push([own.resumed, own.position, heard(world).length]);
  const connection = await greeted(world, "k3x.0-42.n", { onMissed: note });
  await hear(world, "#k3x.0-42:", "0-43:a");

  await comeBack(world, "k3x.0-900.g");
  await hear(world, "#k3x.0-900:", "0-901:b");

  assert.deepEqual(known, [[false, "k3x.0-900", 1]]);
  assert.equal(connection.resumed, false);
  assert.equal(connection.position, "k3x.0-901");
  await comeBack(world, "k3x.0-901.y");
  assert.equal(misses(world), 1);
  assert.equal(connection.resumed, true);
});

test("a gap that is cut before all was said is not told again", async () => {
  const world = new World();
  await greeted(world, "k3x.0-42.g", { since: "k3w.0-7" });

  await comeBack(world, "k3x.0-50.y");

  assert.equal(asked(world), `1.${ME}.k3x.0-42`);
  assert.equal(misses(world), 1);
});

test("a gap that is found later on the same connection is told, too", async () => {
  const world = new World();
  const connection = await greeted(world);
  await hear(world, "#k3x.0-42:", "0-43:a");

  await hear(world, `@${ME}.k3x.0-60.g:`, "#k3x.0-60:", "0-61:b");

  assert.equal(misses(world), 1);
  assert.equal(connection.resumed, false);
  assert.equal(connection.position, "k3x.0-61");
  assert.deepEqual(world.socket.sent, [`@${ME}:`]);
});

test("an onMissed that throws is reported and stops nothing", async () => {
  const world = new World();
  const connection = await greeted(world, "k3x.0-42.g", { onMissed() { throw new Error("page"); } });

  await hear(world, "0-43:a", "#k3x.0-43:");

  assert.deepEqual(world.reported.map(({ message }) => message), ["page"]);
  assert.deepEqual(heard(world), ["a"]);
  assert.deepEqual([connection.state, connection.position], ["open", "k3x.0-43"]);
});

test("what onMissed sends is marked", async () => {
  const world = new World();

  await greeted(world, "k3x.0-42.g", { onMissed: (own) => own.send("all, please") });

  assert.deepEqual(world.socket.sent, [`@${ME}:`, ":all, please"]);
});

test("a page may close when it is told of a gap", async () => {
  for (const first of [`@${ME}.k3x.0-42.g:`, "from a server without history"]) {
    const world = new World();
    const connection = await world.open("ws/x", { since: "k3x.0-1", onMissed: (own) => own.close() });

    await hear(world, first, "0-43:late");
    await world.clock.pass(60_000);

    assert.equal(connection.state, "closed");
    assert.deepEqual(heard(world), []);
    assert.equal(world.clock.size, 0);
  }
});

test("until all was said the position stays, whatever comes", async () => {
  const world = new World();
  const connection = await greeted(world);

  await hear(world, "0-43:a", "0-44:b");

  assert.equal(connection.position, "k3x.0-42");
  await comeBack(world);
  assert.equal(asked(world), `1.${ME}.k3x.0-42`);
});

test("a resume that breaks in the middle doubles nothing and loses nothing", async () => {
  const world = new World();
  await greeted(world, "k3x.0-40.n");
  await hear(world, "#k3x.0-40:");
  await comeBack(world, "k3x.0-50.y");
  await hear(world, "0-41:a", "0-43:c"); // the rest of 42 is on its way
  await comeBack(world, "k3x.0-50.y");
  await hear(world, "0-41:a", "0-42:b");

  await comeBack(world, "k3x.0-50.y");
  await hear(world, "0-41:a", "0-42:b", bytes("0-43:c"), "0-44:d", "1-41:other", "#k3x.0-44:", "0-45:e");

  assert.deepEqual(heard(world), ["a", "c", "b", "d", "other", "e"]);
});

test("a newcomer's replay that breaks in the middle doubles nothing", async () => {
  const world = new World();
  await greeted(world, "k3x.0-40.n");
  await hear(world, "0-41:a");

  await comeBack(world, "k3x.0-41.y");
  await hear(world, "0-41:a", "0-42:b", "#k3x.0-42:");

  assert.deepEqual(heard(world), ["a", "b"]);
});

for (const how of ["g", "n"]) {
  test(`behind a greeting with ${how} what came before is forgotten`, async () => {
    const world = new World();
    const connection = await greeted(world);
    await hear(world, "0-43:a");

    await comeBack(world, `new.0-10.${how}`);
    await hear(world, "0-43:b", "#new.0-43:");

    assert.deepEqual(heard(world), ["a", "b"]);
    assert.equal(connection.position, "new.0-43");
  });
}

test("a new epoch counts anew: its numbers are no old acquaintances", async () => {
  const world = new World();
  const connection = await greeted(world);
  await hear(world, "0-43:a", "0-44:b");

  await hear(world, "#new.0-0:", "0-1:c", "0-43:d");

  assert.deepEqual(heard(world), ["a", "b", "c", "d"]);
  assert.equal(connection.position, "new.0-43");
  await comeBack(world);
  assert.equal(asked(world), `1.${ME}.new.0-43`);
});

test("a position that is void is told as such, and the answer is a gap", async () => {
  const world = new World();
  const connection = await greeted(world);
  await hear(world, "#k3x.0-42:", "0-43:a", "#:", ":b", "0-44:c");
  assert.equal(connection.position, "-");
  assert.equal(misses(world), 0);

  await comeBack(world, "new.0-3.g");

  assert.deepEqual(world.sockets.map(({ url }) => url.split("?")[1]), [`tina4=1.${ME}`, `tina4=1.${ME}.-`]);
  assert.deepEqual(heard(world), ["a", "b", "c"]);
  assert.equal(misses(world), 1);
  assert.equal(connection.position, "new.0-3");
});

test("a position that was void is known again by the next mark, without a gap", async () => {
  const world = new World();
  const connection = await greeted(world);
  await hear(world, "#k3x.0-42:", "#:", ":a", "#new.0-0:", "0-1:b");

  await comeBack(world, "new.0-1.y");

  assert.equal(asked(world), `1.${ME}.new.0-1`);
  assert.deepEqual(heard(world), ["a", "b"]);
  assert.deepEqual([connection.resumed, misses(world)], [true, 0]);
});

for (const [start, kept, expected] of [
  ["k3x.0-42", ["0-43"], "k3x.0-43"],
  ["k3x.0-42", ["0-44", "0-43"], "k3x.0-44"], // late, and no step back
  ["k3x.0-9", ["0-10", "0-11"], "k3x.0-11"], // numbers, not texts
  ["k3x.0-42_1-7", ["1-8"], "k3x.0-42_1-8"],
  ["k3x.1-7", ["10-3", "2-5", "0-1"], "k3x.0-1_1-7_2-5_10-3"],
  ["7-1_2-9.0-42", ["0-43"], "7-1_2-9.0-43"], // an epoch is any text without a dot
]) {
  test(`from ${start} the messages ${kept} lead to ${expected}`, async () => {
    const world = new World();
    const connection = await greeted(world);
    await hear(world, `#${start}:`);
    assert.equal(connection.position, start);

    await hear(world, ...kept.map((number) => `${number}:x`));

    assert.equal(connection.position, expected);
    assert.equal(heard(world).length, kept.length);
  });
}

test("a message counts when the page is told of it, so that the page can keep the position", async () => {
  const world = new World();
  const positions = [];
  await greeted(world, "k3x.0-42.n", { onMessage: (_, own) => positions.push(own.position) });

  await hear(world, "#k3x.0-42:", "0-43:a", ":b", "0-44:c");

  assert.deepEqual(positions, ["k3x.0-43", "k3x.0-43", "k3x.0-44"]);
});

test("what was said since the page was made is asked for at the first connection", async () => {
  const world = new World();
  const connection = await world.open("ws/x", { since: "k3x.0-40_1-2" });
  assert.equal(asked(world), `1.${ME}.k3x.0-40_1-2`);
  assert.equal(connection.position, "k3x.0-40_1-2");

  await hear(world, `@${ME}.k3x.0-42.y:`, "0-41:a", "0-42:b", "#k3x.0-42_1-2:");

  assert.equal(connection.resumed, true);
  assert.deepEqual(heard(world), ["a", "b"]);
  await comeBack(world);
  assert.equal(asked(world), `1.${ME}.k3x.0-42_1-2`);
});

test("it is asked for again until the server has answered", async () => {
  const world = new World();
  await world.open("ws/x", { since: "k3x.0-40" });

  await comeBack(world);

  assert.equal(asked(world), `1.${ME}.k3x.0-40`);
});

for (const since of [undefined, null, ""]) {
  test(`a page that knows no position (${since}) is a newcomer`, async () => {
    const world = new World();

    const connection = await world.open("ws/x", { since });

    assert.equal(asked(world), `1.${ME}`);
    assert.equal(connection.position, "");
  });
}

test("whatever a page takes for a position stays inside its parameter", async () => {
  const world = new World();

  await world.open("ws/x?a=b", { since: "x&admin=1#y z" });

  assert.deepEqual([...new URL(world.socket.url).searchParams], [["a", "b"], ["tina4", `1.${ME}.x&admin=1#y z`]]);
});

test("the position is behind the token, and none of both is in the question after a failed handshake", async () => {
  const world = new World();
  await greeted(world, "k3x.0-42.n", { token: "t" });
  await world.end();
  await world.clock.pass(500);
  assert.equal(world.socket.url.split("?")[1], `token=t&tina4=1.${ME}.k3x.0-42`);

  await world.end();
  await world.clock.pass(1_000);

  assert.deepEqual(world.asked.map(({ url }) => url), ["https://site.test/ws/x?token=t"]);
});

test("what is sent before the greeting is plain, and marked behind it", async () => {
  const world = new World();
  const connection = world.listen("ws/x", { onOpen: (own) => own.send("I am Ada") });
  connection.send("early");
  await settle();
  await world.accept();
  connection.send("still early");

  await world.receive(`@${ME}.k3x.0-42.n:`);
  connection.send("a:b");
  connection.send("");
  connection.sendJson({ c: 1 });

  assert.deepEqual(world.socket.sent, ["I am Ada", "early", "still early", `@${ME}:`, ":a:b", ":", ':{"c":1}']);
});

test("each connection greets anew, and what waited for it goes out plain", async () => {
  const world = new World();
  const connection = await greeted(world);
  await world.end();
  connection.send("meanwhile");

  await world.clock.pass(500);
  await world.accept();
  connection.send("before");
  await world.receive(`@${ME}.k3x.0-42.y:`);
  connection.send("behind");

  assert.deepEqual(world.socket.sent, ["meanwhile", "before", `@${ME}:`, ":behind"]);
});

test("what is sent as bytes is marked by a byte", async () => {
  const world = new World();
  const connection = await greeted(world);
  const whole = new Uint8Array([1, 2, 3, 4]);

  connection.send(whole.buffer);
  connection.send(whole.subarray(1, 3));
  connection.send(new DataView(whole.buffer, 3));
  connection.send(new ArrayBuffer(0));
  connection.send(new Blob(["é"]));
  whole.fill(9);

  const [, ...sent] = world.socket.sent;
  assert.deepEqual(sent.slice(0, 4).map((data) => [...data]), [[58, 1, 2, 3, 4], [58, 2, 3], [58, 4], [58]]);
  assert.equal(await sent[4].text(), ":é");
});

test("what is no text goes out as the text that a socket would make of it", async () => {
  const world = new World();
  const connection = await greeted(world);

  for (const data of [7, null, true]) connection.send(data);

  assert.deepEqual(world.socket.sent.slice(1), [":7", ":null", ":true"]);
});

test("a server without history is heard and told as ever", async () => {
  const world = new World();
  const connection = await world.open();
  const first = bytes("bytes");

  await hear(world, "0-43:a", `@${ME}.k3x.0-42.n:`, first, ":b", "#:", "");
  connection.send("c");

  assert.deepEqual(heard(world), ["0-43:a", `@${ME}.k3x.0-42.n:`, "bytes", ":b", "#:", ""]);
  assert.equal(world.log.at(-4)[1], first);
  assert.deepEqual(world.socket.sent, ["c"]);
  assert.deepEqual([connection.resumed, connection.position, misses(world)], [null, "", 0]);
});

for (const first of [bytes(`@${ME}.k3x.0-42.n:`), "@other.k3x.0-42.n:", `@${ME}:`, ` @${ME}.k3x.0-42.n:`, ""]) {
  test(`a first message that is no greeting (${text(first)}) is a message as any`, async () => {
    const world = new World();
    await world.open();

    await hear(world, first, "0-1:a");

    assert.deepEqual(heard(world), [text(first), "0-1:a"]);
    assert.deepEqual(world.socket.sent, []);
  });
}

test("a route that lost its history is a gap, which is told once", async () => {
  const world = new World();
  const known = [];
  const connection = await greeted(world, "k3x.0-42.n", { onMissed: (own) => known.push([own.resumed, own.position]) });
  await hear(world, "#k3x.0-42:");

  await comeBack(world);
  assert.deepEqual([connection.resumed, connection.position, misses(world)], [undefined, "k3x.0-42", 0]);
  await hear(world, "0-43:plain", "more");
  connection.send("c");

  assert.deepEqual(known, [[false, ""]]);
  assert.deepEqual(world.log.slice(-3).map(([name]) => name), ["onMissed", "onMessage", "onMessage"]);
  assert.deepEqual(heard(world), ["0-43:plain", "more"]);
  assert.deepEqual(world.socket.sent, ["c"]);

  await comeBack(world);
  await hear(world, "plain");
  assert.equal(asked(world), `1.${ME}`);
  assert.deepEqual([connection.resumed, misses(world)], [null, 1]);
});

test("a page whose position no server can read is told, too", async () => {
  const world = new World();
  const connection = await world.open("ws/x", { since: "k3x.0-42" });

  await hear(world, "plain");

  assert.deepEqual([connection.resumed, misses(world)], [false, 1]);
});

test("a route that has history from now on is understood from the next connection on", async () => {
  const world = new World();
  const connection = await world.open();
  await hear(world, ":plain");

  await comeBack(world, "k3x.0-42.n");
  await hear(world, ":a", "#k3x.0-42:", "0-43:b");
  connection.send("c");

  assert.deepEqual(heard(world), [":plain", "a", "b"]);
  assert.deepEqual(world.socket.sent, [`@${ME}:`, ":c"]);
  assert.deepEqual([connection.position, connection.resumed, misses(world)], ["k3x.0-43", null, 0]);
});

test("whether it resumed is unknown until the server says it, at each connection", async () => {
  const world = new World();
  const known = [];
  const onOpen = (own) => known.push(own.resumed);
  const onMessage = (_, own) => known.push(own.resumed);
  const connection = await world.open("ws/x", { onOpen, onMessage });
  assert.equal(connection.resumed, undefined);

  await hear(world, `@${ME}.k3x.0-42.n:`, ":a");
  await comeBack(world, "k3x.0-42.y");
  await hear(world, ":a");

  assert.deepEqual(known, [undefined, null, undefined, true]);
});

test("a page that one leaves takes up its position on the way back", async () => {
  const world = new World();
  const connection = await greeted(world);
  await hear(world, "#k3x.0-42:", "0-43:a");

  await world.happen("pagehide");
  await world.receive("0-44:late", world.sockets[0]);
  assert.equal(connection.position, "k3x.0-43");
  await world.happen("pageshow");
  await world.clock.pass(0);

  assert.equal(asked(world), `1.${ME}.k3x.0-43`);
  assert.deepEqual(heard(world), ["a"]);
});

test("retry() takes up the position, also after a refusal", async () => {
  const world = new World();
  const connection = await greeted(world);
  await world.end(4401, "log in");

  connection.retry();
  await settle();

  assert.equal(asked(world), `1.${ME}.k3x.0-42`);
});

test("a greeting of a connection that was given up is not heard", async () => {
  const world = new World();
  const connection = await world.open();
  await world.end();
  await world.clock.pass(500);

  await world.receive(`@${ME}.k3x.0-42.g:`, world.sockets[0]);

  assert.deepEqual([connection.position, connection.resumed, misses(world)], ["", undefined, 0]);
  assert.deepEqual(world.sockets[0].sent, []);
});

test("after close() the position can still be read", async () => {
  const world = new World();
  const connection = await greeted(world);

  connection.close();

  assert.equal(connection.position, "k3x.0-42");
});
