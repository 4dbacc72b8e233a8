// What the clients write, and the chance by which they come back.
"use strict";

exports.note = (what) => process.stdout.write(`${JSON.stringify({ at: Date.now(), ...what })}\n`);

/** Make Math.random repeat itself (mulberry32). */
exports.seedMathRandom = (seed) => {
  let state = seed >>> 0;
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

// The owner closes stdin to end this process.
process.stdin.on("end", () => process.exit()).resume();
