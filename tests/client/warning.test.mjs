// What the client tells whoever looks into the console.
import assert from "node:assert/strict";
import { test } from "node:test";
import { World, status } from "./world.mjs";

for (const [code, reason] of [[1007, "not JSON"], [1008, "policy"], [1009, "too big"], [1011, "internal error"]]) {
  test(`a connection that the server ends with ${code} is warned of`, async () => {
    const world = new World();
    await world.open("ws/x");

    await world.end(code, reason);

    assert.equal(world.warned.length, 1);
    assert.match(world.warned[0], new RegExp(`^tina4: /\\S*ws/x .*${code} ${reason}$`));
  });
}

for (const code of [1000, 1001, 1006, 1012, 1013, 4000]) {
  test(`an end with ${code} is ordinary life`, async () => {
    const world = new World();
    await world.open("ws/x");

    await world.end(code, "");

    assert.deepEqual(world.warned, []);
  });
}

for (const code of [4401, 4403]) {
  test(`a refusal with ${code} is warned of`, async () => {
    const world = new World();
    await world.open("ws/x");

    await world.end(code, "no");

    assert.deepEqual(world.warned.length, 1);
    assert.match(world.warned[0], /refused/);
  });
}

test("a path that no route has is warned of once, however often it is tried", async () => {
  const world = new World();
  world.answer = status(404);
  const connection = world.connect("ws/tpyo");
  await world.clock.pass(0);
  await world.end(1006);

  for (let attempt = 0; attempt < 4; attempt++) {
    await world.clock.pass(Math.max(0, connection.retryAt - world.clock.now));
    await world.end(1006);
  }

  assert.equal(world.warned.length, 1);
  assert.match(world.warned[0], /ws\/tpyo HTTP 404, no WebSocket route has this path$/);
});
