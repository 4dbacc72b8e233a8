// A token that has expired: it is asked for once more, and no oftener.
import assert from "node:assert/strict";
import { test } from "node:test";
import { World, settle, status, unreachable } from "./world.mjs";

/** A function that never gives the same twice, and counts. */
function numbered(form = (number) => `t${number}`) {
  const give = () => form(++give.count);
  give.count = 0;
  return give;
}

/** Let the next attempt begin. */
async function comeBack(world, connection) {
  await world.clock.pass(Math.max(0, connection.retryAt - world.clock.now));
}

const proofs = (world) => world.sockets.map(({ url, protocols }) => [new URL(url).searchParams.get("token"), ...protocols]);

for (const [name, options, expected] of [
  ["a token", { token: numbered() }, [["t1"], ["t2"], ["t3"], ["t4"]]],
  ["a promise of a token", { token: numbered(async (number) => `p${number}`) }, [["p1"], ["p2"], ["p3"], ["p4"]]],
  ["a subprotocol", { protocols: numbered((number) => ["v1", `s${number}`]) },
    [[null, "v1", "s1"], [null, "v1", "s2"], [null, "v1", "s3"], [null, "v1", "s4"]]],
]) {
  test(`with a function for ${name} it goes on for as long as that gives what the server takes`, async () => {
    const world = new World();
    const connection = await world.open("ws/x", options);

    for (let expiry = 0; expiry < 3; expiry++) {
      await world.clock.pass(2_000);
      await world.end(4401, "expired");
      assert.deepEqual([connection.state, connection.code, connection.reason], ["waiting", 4401, "expired"]);
      await comeBack(world, connection);
      await world.accept();
      assert.equal(connection.state, "open");
    }

    assert.deepEqual(proofs(world), expected);
  });
}

test("what is sent while the token is renewed is kept", async () => {
  const world = new World();
  const connection = await world.open("ws/x", { token: numbered() });
  await world.clock.pass(2_000);
  await world.end(4401);

  connection.send("meanwhile");
  await comeBack(world, connection);
  await world.accept();

  assert.deepEqual(world.socket.sent, ["meanwhile"]);
});

test("pages whose tokens expire together don't come back together", async () => {
  const world = new World();
  const connection = await world.open("ws/x", { token: numbered() });
  await world.clock.pass(60_000);
  world.luck = 0.25;

  await world.end(4401);

  assert.equal(connection.retryAt - world.clock.now, 250);
});

for (const stayMs of [0, 400]) {
  test(`a fresh token that is refused after ${stayMs} ms is final`, async () => {
    const world = new World();
    const token = numbered();
    const connection = await world.open("ws/x", { token });
    await world.clock.pass(2_000);
    await world.end(4401, "first");
    await comeBack(world, connection);
    await world.accept();
    await world.clock.pass(stayMs);

    await world.end(4401, "second");
    await world.clock.pass(60_000);

    assert.deepEqual([connection.state, connection.code, connection.reason], ["refused", 4401, "second"]);
    assert.equal(token.count, 2);
    assert.deepEqual(world.states, ["connecting", "open", "waiting", "connecting", "open", "refused"]);
  });
}

test("a handshake answered 401 gets another token, and a second 401 is final", async () => {
  const world = new World();
  const token = numbered();
  const connection = world.listen("ws/x", { token });
  await settle();
  world.answer = status(401);

  await world.end();
  await comeBack(world, connection);
  assert.deepEqual([connection.state, connection.code], ["waiting", 4401]);
  await comeBack(world, connection);
  await world.end();
  await comeBack(world, connection);

  assert.deepEqual([connection.state, connection.code, connection.reason], ["refused", 4401, "HTTP 401"]);
  assert.equal(world.sockets.length, 2);
  assert.equal(token.count, 4); // a ticket may work once: the question and the handshake have one each
});

test("after a 401 a token that the server takes opens it", async () => {
  const world = new World();
  const connection = world.listen("ws/x", { token: numbered() });
  await settle();
  world.answer = status(401);
  await world.end();
  await comeBack(world, connection);

  await comeBack(world, connection);
  await world.accept();

  assert.equal(connection.state, "open");
});

for (const [name, options] of [
  ["a text", { token: "t" }],
  ["no token", {}],
  ["a subprotocol that is a text", { protocols: ["v1", "t"] }],
]) {
  test(`with ${name} there is nothing to renew: the first 4401 is final`, async () => {
    const world = new World();
    const connection = await world.open("ws/x", options);
    await world.clock.pass(60_000);

    await world.end(4401, "out");

    assert.deepEqual([connection.state, connection.reason], ["refused", "out"]);
  });
}

for (const code of [1008, 4403, 4000]) {
  test(`${code} is final, whatever a function would give`, async () => {
    const world = new World();
    const token = numbered();
    const connection = await world.open("ws/x", { token, giveUpOn: [4000] });
    await world.clock.pass(60_000);

    await world.end(code);

    assert.equal(connection.state, "refused");
    assert.equal(token.count, 1);
  });
}

test("an outage while the token is renewed is waited out", async () => {
  const world = new World();
  const connection = await world.open("ws/x", { token: numbered() });
  await world.clock.pass(2_000);
  await world.end(4401);
  world.answer = unreachable;
  await comeBack(world, connection);
  for (let attempt = 0; attempt < 6; attempt++) {
    await world.end();
    await comeBack(world, connection);
    await comeBack(world, connection);
  }

  await world.accept();

  assert.equal(connection.state, "open");
});

test("a function that fails while the token is renewed is asked again", async () => {
  const world = new World();
  let isOffline = false;
  const connection = await world.open("ws/x", { token: async () => (isOffline ? Promise.reject(new Error("offline")) : "t") });
  await world.clock.pass(2_000);
  isOffline = true;
  await world.end(4401);
  await comeBack(world, connection);
  assert.deepEqual([connection.state, connection.reason], ["waiting", "Error: offline"]);

  isOffline = false;
  await comeBack(world, connection);
  await world.accept();

  assert.equal(connection.state, "open");
});

test("a server of another origin that takes no fresh token either is given up", async () => {
  const world = new World();
  const connection = await world.open("wss://elsewhere.test/ws", { token: numbered() });
  await world.clock.pass(60_000);
  await world.end(4401);

  for (let attempt = 0; attempt < 4; attempt++) {
    await comeBack(world, connection);
    await world.end();
  }
  await comeBack(world, connection);

  assert.deepEqual([connection.state, connection.code], ["refused", 4401]);
  assert.equal(world.asked.length, 0);
});

test("closing while the fresh token is on its way connects to nothing", async () => {
  const world = new World();
  const gives = [];
  const connection = world.listen("ws/x", { token: () => new Promise((resolve) => gives.push(resolve)) });
  await settle();
  gives[0]("t1");
  await settle();
  await world.accept();
  await world.clock.pass(2_000);
  await world.end(4401);
  await comeBack(world, connection);

  connection.close();
  gives[1]("t2");
  await settle();

  assert.equal(connection.state, "closed");
  assert.equal(world.sockets.length, 1);
});

test("a question names the subprotocols that the handshake would offer", async () => {
  const world = new World();
  const connection = world.listen("ws/x", { protocols: numbered((number) => ["v1", `s${number}`]) });
  await settle();

  await world.end();
  await comeBack(world, connection);

  assert.deepEqual({ ...world.asked[0].options.headers }, { "Tina4-Probe": "v1,s2" });
  assert.deepEqual(world.socket.protocols, ["v1", "s3"]);
});
