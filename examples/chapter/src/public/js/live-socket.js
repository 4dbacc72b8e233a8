// A WebSocket that comes back by itself.
//
// After every loss it waits a random time below a ceiling that doubles with each failure ("full jitter"),
// so that a thousand pages that lost the same server don't all return in the same second.

const BASE_MS = 1_000;
const CAP_MS = 15_000;
const LEAST_MS = 250;
const STABLE_MS = 10_000; // a connection that lived this long starts the doubling afresh
const CONNECT_TIMEOUT_MS = 10_000;

/** How long to wait before attempt number `attempt`, which counts from 0. */
export function retryDelay(attempt, random = Math.random) {
  const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** attempt);
  return Math.max(LEAST_MS, random() * ceiling);
}

/** The address of `path` on the server that this page came from: wss for https, ws for http. */
export function socketAddress(path) {
  const address = new URL(path, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
}

/**
 * Events: "state" (read `.state`, and `.retryAt` while "waiting") and "text" (`event.detail` is the message).
 * States: "idle", "connecting", "online", "waiting" for the next attempt, "refused" by the application for good.
 */
export class LiveSocket extends EventTarget {
  state = "idle";
  retryAt = 0;
  closeReason = "";
  #path;
  #socket = null;
  #attempt = 0;
  #timer = 0;
  #stableTimer = 0;
  #isPaused = false;

  constructor(path) {
    super();
    this.#path = path;
    // Back on the network, or looked at again: don't sit out a long wait.
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
    // A browser may freeze the page that one leaves, for the way back. The others should see us go all the same.
    addEventListener("pagehide", () => this.#pause());
    addEventListener("pageshow", (event) => event.persisted && this.#isPaused && this.open());
  }

  /** Connect, to another path if one is given; what was open before is closed. */
  open(path = this.#path) {
    this.#path = path;
    this.#isPaused = false;
    this.#attempt = 0;
    this.#connect();
  }

  retryNow() {
    if (this.state === "waiting") this.#connect();
  }

  /** Send a text, or an object as JSON. False means: not connected, nothing was sent. */
  send(message) {
    if (this.state !== "online") return false;
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
    return true;
  }

  #pause() {
    if (this.state === "idle" || this.state === "refused") return;
    this.#isPaused = true;
    this.#forget();
    this.#become("idle");
  }

  #connect() {
    this.#forget();
    const socket = new WebSocket(socketAddress(this.#path));
    this.#socket = socket;
    // Events of a socket that was given up may still arrive; only the current one counts.
    const current = (handler) => (event) => socket === this.#socket && handler(event);
    socket.addEventListener("open", current(() => this.#opened()));
    socket.addEventListener("close", current((event) => this.#closed(event)));
    socket.addEventListener("message", current((event) => this.#emit("text", event.data)));
    // A server that vanished without a word would leave the browser waiting for a minute or two.
    this.#timer = setTimeout(() => this.#closed({ code: 1006, reason: "" }), CONNECT_TIMEOUT_MS);
    this.#become("connecting");
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#stableTimer = setTimeout(() => (this.#attempt = 0), STABLE_MS);
    this.#become("online");
  }

  #closed({ code, reason }) {
    this.#forget();
    this.closeReason = reason;
    if (code >= 4400 && code < 4500) {
      this.#become("refused"); // the application said no; asking again would not change its mind
      return;
    }
    const delay = retryDelay(this.#attempt++);
    this.retryAt = Date.now() + delay;
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#become("waiting");
  }

  #forget() {
    clearTimeout(this.#timer);
    clearTimeout(this.#stableTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #become(state) {
    this.state = state;
    this.#emit("state");
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
