// Where a connection goes, and what it says and hears.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ME, World, plain, settle } from "./world.mjs";

const url = async (path, options, where) => {
  const world = new World(where);
  world.connect(path, options);
  await settle();
  return plain(world.socket.url);
};

for (const [path, expected] of [
  ["ws/chat/general", "wss://site.test/ws/chat/general"],
  ["/ws/chat/general", "wss://site.test/ws/chat/general"],
  ["ws/käse?x=1#there", "wss://site.test/ws/k%C3%A4se?x=1"],
  ["wss://other.test/ws", "wss://other.test/ws"],
  ["ws://other.test/ws", "ws://other.test/ws"],
  ["http://other.test/ws", "ws://other.test/ws"],
]) {
  test(`${path} is connected to as ${expected}`, async () => {
    assert.equal(await url(path), expected);
  });
}

for (const [path, options, expected] of [
  ["ws/x", {}, `wss://site.test/ws/x?tina4=1.${ME}`],
  ["ws/x?", {}, `wss://site.test/ws/x?tina4=1.${ME}`],
  ["ws/x?a=b%20c&d#there", {}, `wss://site.test/ws/x?a=b%20c&d&tina4=1.${ME}`],
  ["ws/x", { token: "t" }, `wss://site.test/ws/x?token=t&tina4=1.${ME}`],
]) {
  test(`${path} with ${JSON.stringify(options)} gets one parameter more, and the rest stays as it is`, async () => {
    const world = new World();

    world.connect(path, options);
    await settle();

    assert.equal(world.socket.url, expected);
  });
}

test("a page without TLS connects without TLS", async () => {
  const where = { page: "http://site.test:7148/", script: "http://site.test:7148/__tina4/tina4-ws.js" };

  assert.equal(await url("/ws/x", {}, where), "ws://site.test:7148/ws/x");
});

test("an app under a prefix is found by the address of the script", async () => {
  const where = { page: "https://site.test/shop/cards/7", script: "https://site.test/shop/__tina4/tina4-ws.js?v=1" };

  assert.equal(await url("ws/cards", {}, where), "wss://site.test/shop/ws/cards");
  assert.equal(await url("/ws/cards", {}, where), "wss://site.test/ws/cards");
});

test("a copy of the script starts from the page", async () => {
  const where = { page: "https://site.test/shop/cards/7", script: "https://cdn.test/js/bundle.js" };

  assert.equal(await url("feed", {}, where), "wss://site.test/shop/cards/feed");
});

test("a base of its own comes before all of that", async () => {
  assert.equal(await url("ws/x", { base: "/api/" }), "wss://site.test/api/ws/x");
  assert.equal(await url("ws/x", { base: "https://api.test/v1/" }), "wss://api.test/v1/ws/x");
});

test("what is no address throws at once", () => {
  assert.throws(() => new World().connect("https://"), TypeError);
});

test("a second copy of the script leaves the first in charge", () => {
  const world = new World();
  const first = world.connect;

  world.load();

  assert.equal(world.connect, first);
});

test("subprotocols are offered, and the chosen one is told", async () => {
  const world = new World();
  const connection = world.listen("ws/x", { protocols: ["v2", "v1"] });
  await settle();
  assert.equal(connection.protocol, "");

  world.socket.protocol = "v1";
  await world.accept();

  assert.deepEqual(world.socket.protocols, ["v2", "v1"]);
  assert.equal(connection.protocol, "v1");
});

test("a subprotocol that can't be is reported and not tried without end", async () => {
  const world = new World();

  const connection = world.listen("ws/x", { protocols: "bad protocol" });
  await settle();

  assert.equal(world.reported.length, 1);
  assert.equal(connection.state, "waiting");
});

test("a token travels in the query, escaped", async () => {
  assert.equal(await url("ws/x?room=1", { token: "a b&c" }), "wss://site.test/ws/x?room=1&token=a+b%26c");
});

test("no token is no parameter", async () => {
  assert.equal(await url("ws/x", { token: () => null }), "wss://site.test/ws/x");
});

test("a token is asked for anew at each attempt", async () => {
  const world = new World();
  let count = 0;
  await world.open("ws/x", { token: async () => `t${++count}` });

  await world.end();
  await world.clock.pass(1_000);

  assert.deepEqual(world.sockets.map((socket) => new URL(socket.url).searchParams.get("token")), ["t1", "t2"]);
});

test("a token that can't be had is one failed attempt", async () => {
  const world = new World();
  let isBroken = true;
  const connection = world.listen("ws/x", { token: () => (isBroken ? Promise.reject(new Error("no token")) : "good") });
  await settle();
  assert.equal(connection.state, "waiting");
  assert.match(connection.reason, /no token/);
  assert.equal(world.reported.length, 1);

  isBroken = false;
  await world.clock.pass(1_000);

  assert.match(world.socket.url, /token=good/);
});

test("closing while the token is on its way connects to nothing", async () => {
  const world = new World();
  let give;
  const connection = world.listen("ws/x", { token: () => new Promise((resolve) => (give = resolve)) });
  await settle();

  connection.close();
  give("late");
  await settle();

  assert.equal(world.sockets.length, 0);
  assert.deepEqual(world.states, ["connecting", "closed"]);
});

test("callbacks are told of states, openings and messages, with the connection", async () => {
  const world = new World();
  const given = [];
  const connection = await world.open("ws/x", { onOpen: (own) => given.push(own), onMessage: (_, own) => given.push(own) });

  await world.receive("hello");

  assert.deepEqual(world.log.map(([name, value]) => [name, value]), [
    ["onState", "connecting"],
    ["onState", "open"],
    ["onOpen", undefined],
    ["onMessage", "hello"],
  ]);
  assert.deepEqual(given.map((own) => own === connection), [true, true]);
});

test("no callback runs before connect has returned", async () => {
  const world = new World();

  world.listen();

  assert.deepEqual(world.log, []);
});

test("JSON goes to onJson, all else to onMessage", async () => {
  const world = new World();
  await world.open("ws/x", { onJson() {} });
  const bytes = new ArrayBuffer(2);

  for (const data of ['{"a": [1]}', "null", "{no", "", bytes]) await world.receive(data);

  assert.deepEqual(
    world.log.slice(3).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
    [["onJson", '{"a":[1]}'], ["onJson", "null"], ["onMessage", "{no"], ["onMessage", ""], ["onMessage", "{}"]],
  );
  assert.equal(world.socket.binaryType, "arraybuffer");
});

test("without onJson a text stays a text", async () => {
  const world = new World();
  await world.open();

  await world.receive('{"a": 1}');

  assert.deepEqual(world.log.at(-1), ["onMessage", '{"a": 1}']);
});

test("a callback that throws is reported and stops nothing", async () => {
  const world = new World();
  const fail = () => { throw new Error("page"); };
  const connection = await world.open("ws/x", { onOpen: fail, onMessage: fail, onState: fail, onClose: fail });
  await world.receive("hello");

  await world.end();
  await world.clock.pass(1_000);
  await world.accept();

  assert.equal(connection.state, "open");
  assert.ok(world.reported.every((error) => error.message === "page"));
  assert.equal(world.reported.length, 9);
});

test("sendJson sends JSON", async () => {
  const world = new World();
  const connection = await world.open();

  assert.equal(connection.sendJson({ text: "hello" }), true);

  assert.deepEqual(world.socket.sent, ['{"text":"hello"}']);
});

test("closing says goodbye and stays closed, whatever happens", async () => {
  const world = new World();
  const connection = await world.open();

  connection.close(4000, "enough");
  connection.close();
  connection.retry();
  for (const name of ["online", "offline", "pageshow", "pagehide"]) await world.happen(name);
  await world.happen("visibilitychange", world.document);
  await world.receive("late");
  await world.end(4000, "enough");
  await world.clock.pass(600_000);

  assert.deepEqual(world.socket.closedWith, [4000, "enough"]);
  assert.equal(world.sockets.length, 1);
  assert.deepEqual(world.states, ["connecting", "open", "closed"]);
  assert.deepEqual(world.closings, [[4000, "enough"]]);
  assert.equal(connection.send("late"), false);
  assert.equal(world.clock.size, 0);
});

test("a close code that can't be throws and changes nothing", async () => {
  const world = new World();
  const connection = await world.open();

  assert.throws(() => connection.close(1001), /InvalidAccess/);

  assert.equal(connection.state, "open");
});

test("closing at once connects to nothing", async () => {
  const world = new World();

  world.listen().close();
  await world.clock.pass(60_000);

  assert.equal(world.sockets.length, 0);
  assert.deepEqual(world.states, ["closed"]);
});

for (const name of ["connecting", "open", "waiting"]) {
  test(`a page may close when it is told "${name}"`, async () => {
    const world = new World();
    world.listen("ws/x", { onState: (state, connection) => state === name && connection.close() });
    await settle();
    if (name !== "connecting") await world.accept();
    if (name === "waiting") await world.end();

    await world.clock.pass(60_000);

    assert.equal(world.states.at(-1), "closed");
    assert.ok(world.sockets.length <= 1);
    assert.equal(world.clock.size, 0);
  });
}
