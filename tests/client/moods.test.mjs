// The network goes and comes, the page is hidden and shown, the machine sleeps.
import assert from "node:assert/strict";
import { test } from "node:test";
import { World, plain, settle, status, unreachable } from "./world.mjs";

test("back on the network it does not sit out a long wait, nor does everybody come at once", async () => {
  const world = new World();
  world.luck = 1;
  const connection = await world.open();
  for (let attempt = 0; attempt < 5; attempt++) {
    if (attempt) await world.clock.pass(connection.retryAt - world.clock.now);
    await world.end();
  }
  assert.equal(connection.retryAt - world.clock.now, 15_000);
  world.luck = 0.3;

  await world.happen("online");

  assert.equal(connection.retryAt - world.clock.now, 300);
  await world.clock.pass(300);
  assert.equal(world.sockets.length, 6);
});

test("a wait that ends sooner anyway is left alone", async () => {
  const world = new World();
  world.luck = 0.1;
  const connection = await world.open();
  await world.end();
  world.luck = 0.9;

  await world.happen("online");

  assert.equal(connection.retryAt - world.clock.now, 100);
});

for (const [name, where] of [["visibilitychange", "document"], ["resume", "document"], ["pageshow", "window"]]) {
  test(`${name} tries at once`, async () => {
    const world = new World();
    await world.open();
    await world.end();

    await world.happen(name, world[where]);
    await world.clock.pass(0);

    assert.equal(world.sockets.length, 2);
  });
}

test("a page that is being hidden does not hurry", async () => {
  const world = new World();
  await world.open();
  await world.end();
  world.document.hidden = true;

  await world.happen("visibilitychange", world.document);
  await world.clock.pass(0);

  assert.equal(world.sockets.length, 1);
});

test("events while it is open change nothing", async () => {
  const world = new World();
  await world.open();

  await world.happen("online");
  await world.happen("visibilitychange", world.document);
  await world.happen("pageshow");

  assert.deepEqual(world.states, ["connecting", "open"]);
});

test("offline with a server out of reach is a loss at once, so that nothing is sent into the void", async () => {
  const world = new World();
  const connection = await world.open();
  world.answer = unreachable;

  await world.happen("offline");
  connection.send("kept");

  assert.deepEqual([connection.state, connection.reason], ["waiting", "offline"]);
  assert.deepEqual(world.closings, [[1006, "offline"]]);
  assert.deepEqual(world.socket.sent, []);
});

test("offline with a server on this machine is no loss", async () => {
  const world = new World();
  const connection = await world.open();
  world.answer = status(401);

  await world.happen("offline");

  assert.equal(connection.state, "open");
});

test("offline while nothing is open is no second loss", async () => {
  const world = new World();
  const connection = await world.open();
  await world.end();
  world.answer = unreachable;

  await world.happen("offline");

  assert.equal(connection.state, "waiting");
  assert.deepEqual(world.closings, [[1006, ""]]);
});

test("while offline it goes on trying, for servers that are near", async () => {
  const world = new World();
  await world.open();
  world.navigator.onLine = false;
  await world.end();

  await world.clock.pass(500);

  assert.equal(world.sockets.length, 2);
});

test("after a long sleep an open connection is taken for gone", async () => {
  const world = new World();
  const connection = await world.open();
  await world.clock.pass(60_000);

  world.clock.sleep(120_000);
  await world.clock.pass(15_500);

  assert.equal(world.sockets.length, 2);
  assert.deepEqual(world.closings, [[1006, "asleep"]]);
  assert.deepEqual(world.sockets[0].closedWith, []);
  await world.accept();
  assert.equal(connection.state, "open");
});

test("waking by a look at the page is noticed at once", async () => {
  const world = new World();
  await world.open();

  world.clock.sleep(120_000);
  await world.happen("visibilitychange", world.document);

  assert.deepEqual(world.closings, [[1006, "asleep"]]);
});

test("a hidden page whose timers run once a minute is not asleep", async () => {
  const world = new World();
  const connection = await world.open();

  for (let minute = 0; minute < 5; minute++) {
    world.clock.sleep(45_000);
    await world.clock.pass(15_000);
  }

  assert.equal(connection.state, "open");
  assert.equal(world.sockets.length, 1);
});

test("an hour in use is no sleep", async () => {
  const world = new World();
  await world.open();

  await world.clock.pass(3_600_000);

  assert.deepEqual(world.states, ["connecting", "open"]);
});

test("a long time without network is as good as a sleep", async () => {
  const world = new World();
  await world.open();
  world.navigator.onLine = false;
  await world.clock.pass(120_000);

  world.navigator.onLine = true;
  await world.happen("online");

  assert.deepEqual(world.closings, [[1006, "asleep"]]);
});

test("a page that one leaves gives its place back, and takes it again on the way back", async () => {
  const world = new World();
  const connection = await world.open();

  await world.happen("pagehide");
  assert.deepEqual(world.socket.closedWith, []);
  assert.deepEqual([connection.state, connection.retryAt], ["waiting", Infinity]);
  await world.clock.pass(600_000);
  assert.equal(world.sockets.length, 1);
  await world.happen("pageshow");
  await world.clock.pass(0);
  await world.accept();

  assert.equal(connection.state, "open");
});

test("a page that was refused stays so on the way back", async () => {
  const world = new World();
  const connection = await world.open();
  await world.end(4403, "no");

  await world.happen("pagehide");
  await world.happen("pageshow");
  await settle();

  assert.equal(connection.state, "refused");
});

test("it runs where there is no page, as in a worker", async () => {
  const world = new World();
  const { context } = world;
  context.document = context.tina4 = undefined;
  world.load();

  world.connect("/ws/x");
  await settle();

  assert.equal(plain(world.socket.url), "wss://site.test/ws/x");
});
