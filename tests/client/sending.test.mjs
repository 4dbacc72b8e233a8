// What is sent while there is no connection: later, once, in order, and not without limit.
import assert from "node:assert/strict";
import { test } from "node:test";
import { World, settle } from "./world.mjs";

test("what is sent before it opens goes out in order when it does", async () => {
  const world = new World();
  const connection = world.listen();
  const bytes = new Uint8Array([1]);

  assert.deepEqual(["a", "b", bytes].map((data) => connection.send(data)), [true, true, true]);
  await settle();
  await world.accept();

  assert.deepEqual(world.socket.sent, ["a", "b", bytes]);
});

test("what an open connection took is never sent again", async () => {
  const world = new World();
  const connection = await world.open();
  connection.send("once");
  await world.end();

  connection.send("meanwhile");
  await world.clock.pass(500);
  await world.accept();
  await world.end();
  await world.clock.pass(2_000);
  await world.accept();

  assert.deepEqual(world.sockets.map((socket) => socket.sent), [["once"], ["meanwhile"], []]);
});

test("what onOpen sends goes before what had to wait", async () => {
  const world = new World();
  const connection = await world.open("ws/x", { onOpen: (own) => own.send("I am Ada") });
  await world.end();
  connection.send("kept");

  await world.clock.pass(500);
  await world.accept();

  assert.deepEqual(world.socket.sent, ["I am Ada", "kept"]);
});

test("a connection that is just closing takes nothing", async () => {
  const world = new World();
  const connection = await world.open();
  world.socket.readyState = 2;

  assert.equal(connection.send("kept"), true);
  assert.deepEqual(world.socket.sent, []);
  await world.end(1001);
  await world.clock.pass(500);
  await world.accept();

  assert.deepEqual(world.socket.sent, ["kept"]);
});

test("no more wait than the page allows", async () => {
  const world = new World();
  const connection = world.listen("ws/x", { maxQueued: 2 });

  assert.deepEqual(["a", "b", "c"].map((text) => connection.send(text)), [true, true, false]);
  await settle();
  await world.accept();

  assert.deepEqual(world.socket.sent, ["a", "b"]);
  assert.equal(connection.send("d"), true);
});

test("by default a hundred wait", async () => {
  const connection = new World().listen();

  assert.equal(Array.from({ length: 150 }, () => connection.send("x")).filter(Boolean).length, 100);
});

test("with a limit of 0 a send says whether it was sent", async () => {
  const world = new World();
  const connection = world.listen("ws/x", { maxQueued: 0 });
  assert.equal(connection.send("x"), false);
  await settle();
  await world.accept();

  assert.equal(connection.send("y"), true);
  assert.deepEqual(world.socket.sent, ["y"]);
});

test("if it is lost while the queue goes out, the rest waits on", async () => {
  const world = new World();
  const connection = world.listen();
  for (const text of ["a", "b", "c"]) connection.send(text);
  await settle();
  const first = world.socket;
  first.send = (data) => first.sent.push(data) && (first.readyState = 2);

  await world.accept();
  await world.end();
  await world.clock.pass(500);
  await world.accept();

  assert.deepEqual(world.sockets.map((socket) => socket.sent), [["a"], ["b", "c"]]);
});

test("what waits is dropped by close() and by a refusal", async () => {
  for (const end of [(connection) => connection.close(), (_, world) => world.end(4401)]) {
    const world = new World();
    const connection = world.listen();
    await settle();
    connection.send("old");
    await end(connection, world);

    connection.retry();
    await settle();
    if (connection.state === "connecting") await world.accept();

    assert.deepEqual(world.socket.sent, []);
  }
});
