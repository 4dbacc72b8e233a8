// The same client as a module: import { connect } from "/__tina4/tina4-ws.mjs".
import "./tina4-ws.js";

const client = globalThis.tina4.connect;
// If the app served this module, its address shows where the app is mounted.
const base = import.meta.url.match(/^.*\/(?=__tina4\/)/)?.[0];

export const connect = (path, options) => client(path, { base, ...options });
