// What becomes of a connection that is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { World, settle, status, unreachable } from "./world.mjs";

/** Fail `count` attempts in a row and give the wait after each, in ms. */
async function waits(world, connection, count) {
  const found = [];
  for (let attempt = 0; attempt < count; attempt++) {
    await world.end();
    found.push(connection.retryAt - world.clock.now);
    await world.clock.pass(found.at(-1));
  }
  return found;
}

for (const [luck, expected] of [
  [0, [0, 0, 0, 0, 0, 0]],
  [0.5, [500, 1000, 2000, 4000, 7500, 7500]],
  [1, [1000, 2000, 4000, 8000, 15000, 15000]],
]) {
  test(`with a luck of ${luck} it waits ${expected.join(", ")} ms`, async () => {
    const world = new World();
    world.luck = luck;
    const connection = await world.open();

    assert.deepEqual(await waits(world, connection, 6), expected);
  });
}

test("the page may choose the waits", async () => {
  const world = new World();
  world.luck = 1;
  const connection = await world.open("ws/x", { baseMs: 10, capMs: 25 });

  assert.deepEqual(await waits(world, connection, 4), [10, 20, 25, 25]);
});

test("a connection that held starts the doubling afresh, a short one does not", async () => {
  const world = new World();
  const connection = await world.open();
  assert.deepEqual(await waits(world, connection, 3), [500, 1000, 2000]);

  await world.accept();
  await world.clock.pass(9_000);
  assert.deepEqual(await waits(world, connection, 1), [4000]);
  await world.accept();
  await world.clock.pass(10_000);

  assert.deepEqual(await waits(world, connection, 1), [500]);
});

test("a loss is told once, with its code, and so is each return", async () => {
  const world = new World();
  const connection = await world.open();

  await world.end(1011, "callback failed");
  assert.deepEqual([connection.state, connection.code, connection.reason], ["waiting", 1011, "callback failed"]);
  await world.clock.pass(500);
  await world.end();
  await world.clock.pass(1_000);
  await world.accept();

  assert.deepEqual(world.states, ["connecting", "open", "waiting", "connecting", "waiting", "connecting", "open"]);
  assert.deepEqual(world.closings, [[1011, "callback failed"]]);
  assert.deepEqual([connection.code, connection.reason, connection.retryAt], [0, "", 0]);
});

test("a server that does not answer is given up after 10 s and tried again", async () => {
  const world = new World();
  const connection = world.listen();
  await settle();

  await world.clock.pass(10_000);

  assert.deepEqual([connection.state, connection.reason], ["waiting", "no answer"]);
  assert.deepEqual(world.socket.closedWith, []);
});

test("what a given-up socket says late is not heard", async () => {
  const world = new World();
  const connection = world.listen();
  await settle();
  const late = world.socket;
  await world.clock.pass(10_500);

  await world.accept(late);
  await world.receive("late", late);
  await world.end(4401, "late", late);

  assert.equal(connection.state, "connecting");
  assert.deepEqual(world.states, ["connecting", "waiting", "connecting"]);
});

for (const code of [1008, 4401, 4403]) {
  test(`${code} is final, and said`, async () => {
    const world = new World();
    const connection = await world.open();
    await world.end();
    connection.send("waits");
    await world.clock.pass(500);
    await world.accept();

    await world.end(code, "no");
    await world.clock.pass(600_000);
    await world.happen("online");

    assert.equal(world.sockets.length, 2);
    assert.deepEqual([connection.state, connection.code, connection.reason], ["refused", code, "no"]);
    assert.equal(connection.send("x"), false);
  });
}

test("the page may name further codes that are final", async () => {
  const world = new World();
  const connection = await world.open("ws/x", { giveUpOn: [4000] });

  await world.end(4000, "kicked");

  assert.equal(connection.state, "refused");
});

for (const code of [1000, 1001, 1006, 1009, 1011, 1012, 1013, 4400]) {
  test(`${code} is not final`, async () => {
    const world = new World();
    const connection = await world.open();

    await world.end(code, "");

    assert.equal(connection.state, "waiting");
  });
}

test("retry() tries again after a refusal, and at once", async () => {
  const world = new World();
  const connection = await world.open();
  await world.end(4401, "log in");

  connection.retry();
  assert.equal(connection.send("kept"), true);
  await settle();
  await world.accept();

  assert.equal(connection.state, "open");
  assert.deepEqual(world.socket.sent, ["kept"]);
});

test("retry() cuts a wait short and does nothing else", async () => {
  const world = new World();
  const connection = await world.open();
  connection.retry();
  assert.equal(world.sockets.length, 1);
  await world.end(1012, "restart; retry in 60000 ms");

  connection.retry();
  connection.retry();
  await settle();

  assert.equal(world.sockets.length, 2);
});

for (const [code, reason] of [[1001, "going away; retry in 3000 ms"], [1012, "restart; retry in 3000 ms"]]) {
  test(`a server that says "${code} ${reason}" is waited for, to the millisecond`, async () => {
    const world = new World();
    const connection = await world.open();

    await world.end(code, reason);
    assert.equal(connection.retryAt - world.clock.now, 3_000);
    await world.happen("online");
    await world.happen("visibilitychange", world.document);
    await world.clock.pass(2_999);
    assert.equal(world.sockets.length, 1);
    await world.clock.pass(1);

    assert.equal(world.sockets.length, 2);
  });
}

test("to be sent away is no failure: the doubling begins behind it", async () => {
  const world = new World();
  const connection = await world.open();
  assert.deepEqual(await waits(world, connection, 3), [500, 1000, 2000]);
  await world.accept();

  await world.end(1001, "going away; retry in 70 ms");
  await world.clock.pass(70);

  assert.deepEqual(await waits(world, connection, 2), [500, 1000]);
});

test("a hint of more than a minute is cut to one", async () => {
  const world = new World();
  const connection = await world.open();

  await world.end(1012, "restart; retry in 999999 ms");

  assert.equal(connection.retryAt - world.clock.now, 60_000);
});

for (const reason of ["retry in 3000 ms", "; retry in 3000 ms, or so", "; retry in 99999999 ms", "; retry in -1 ms"]) {
  test(`"${reason}" is no hint`, async () => {
    const world = new World();
    const connection = await world.open();

    await world.end(1001, reason);

    assert.equal(connection.retryAt - world.clock.now, 500);
  });
}

test("after a refused handshake the server is asked why", async () => {
  const world = new World();
  const connection = world.listen("ws/x", { token: () => "t" });
  await settle();

  await world.end();
  assert.equal(world.asked.length, 0);
  await world.clock.pass(500);

  const [{ url, options }] = world.asked;
  assert.equal(url, "https://site.test/ws/x?token=t");
  assert.equal(options.method, "HEAD");
  assert.deepEqual({ ...options.headers }, { "Tina4-Probe": "1" });
  assert.equal(options.redirect, "manual");
  assert.equal(world.sockets.length, 2);
  assert.equal(connection.state, "connecting");
});

for (const [code, expected] of [[401, 4401], [403, 4403]]) {
  test(`a handshake answered ${code} is final`, async () => {
    const world = new World();
    const connection = world.listen();
    await settle();
    world.answer = status(code);

    await world.end();
    await world.clock.pass(60_000);

    assert.deepEqual([connection.state, connection.code, connection.reason], ["refused", expected, `HTTP ${code}`]);
    assert.equal(world.sockets.length, 1);
    assert.deepEqual(world.closings, []);
  });
}

test("a log-out after which the server restarts is final", async () => {
  const world = new World();
  const connection = await world.open();
  await world.end();
  await world.clock.pass(500);
  await world.end(); // the handshake is refused now
  world.answer = status(401);

  await world.clock.pass(1_000);

  assert.equal(connection.state, "refused");
  assert.equal(world.sockets.length, 2);
});

for (const [headers, least] of [[{ "Retry-After": "5" }, 5_000], [{}, 0], [{ "Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT" }, 0]]) {
  test(`a full server is left alone for as long as it says: ${JSON.stringify(headers)}`, async () => {
    const world = new World();
    const connection = world.listen();
    await settle();
    world.answer = status(503, headers);

    await world.end();
    await world.clock.pass(500);

    assert.equal(connection.state, "waiting");
    assert.equal(connection.retryAt - world.clock.now, least + 1_000);
    assert.equal(world.sockets.length, 1);
  });
}

for (const code of [200, 404, 426, 500]) {
  test(`${code} for an answer does not keep it from trying`, async () => {
    const world = new World();
    world.listen();
    await settle();
    world.answer = status(code);

    await world.end();
    await world.clock.pass(500);

    assert.equal(world.sockets.length, 2);
    assert.deepEqual(world.reported, []);
  });
}

test("while the server can't be reached it asks and tries in turn, in case that only asking fails", async () => {
  const world = new World();
  const connection = world.listen();
  await settle();
  world.answer = unreachable;

  await world.end();
  await world.clock.pass(500);
  assert.deepEqual([connection.state, connection.reason, world.sockets.length], ["waiting", "unreachable", 1]);
  await world.clock.pass(1_000);
  assert.equal(world.sockets.length, 2);
  await world.end();
  await world.clock.pass(2_000);

  assert.deepEqual([world.asked.length, world.sockets.length], [2, 2]);
});

test("a server of another origin can't be asked and is just tried", async () => {
  const world = new World();
  world.listen("wss://other.test/ws");
  await settle();

  await world.end();
  await world.clock.pass(500);

  assert.deepEqual(world.asked, []);
  assert.equal(world.sockets.length, 2);
});

test("a server that leaves the question hanging is given up after 10 s", async () => {
  const world = new World();
  const connection = world.listen();
  await settle();
  world.answer = () => new Promise(() => {});

  await world.end();
  await world.clock.pass(500 + 10_000);

  assert.deepEqual([connection.state, connection.reason], ["waiting", "no answer"]);
  assert.equal(world.sockets.length, 1);
});
