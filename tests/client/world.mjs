// A browser for the client, in which time passes only when a test says so.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const SOURCE = readFileSync(new URL("../../tina4_wsgi/browser/tina4-ws.js", import.meta.url), "utf8");

/** Timers that run when `pass` is called, in the order of their times. */
class Clock {
  now = 1_000_000;
  #timers = new Map();
  #last = 0;

  set = (react, delayMs = 0, everyMs = 0) => {
    this.#timers.set(++this.#last, { react, at: this.now + delayMs, everyMs });
    return this.#last;
  };
  clear = (id) => void this.#timers.delete(id);

  get size() {
    return this.#timers.size;
  }

  /** Let time pass; what is due runs, and so does what its promises start. */
  async pass(ms) {
    const end = this.now + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.now = Math.max(this.now, timer.at);
      if (timer.everyMs) timer.at += timer.everyMs;
      else this.#timers.delete(id);
      timer.react();
      await settle();
    }
    this.now = end;
  }

  /** The machine sleeps: time goes on, timers don't. */
  sleep(ms) {
    this.now += ms;
    for (const timer of this.#timers.values()) timer.at += ms;
  }
}

/** Let everything run that waits for nothing but its turn. */
export async function settle() {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

/** What fetch may give: an answer with a status, or none. */
export const status = (code, headers = {}) => async () => ({ status: code, headers: new Headers(headers) });
export const unreachable = () => Promise.reject(new TypeError("network"));

/** What a client of this world calls itself. */
export const ME = "0123456789ab";

/** An address without what the client adds for servers that keep history. */
export const plain = (url) => url.replace(new RegExp(`[?&]tina4=1\\.${ME}$`), "");

/** A page with the client in it. */
export class World {
  clock = new Clock();
  sockets = []; // every WebSocket that was made
  asked = []; // every fetch, as { url, options }
  reported = []; // what went to reportError
  warned = []; // what went to console.warn
  luck = 0.5; // what Math.random gives
  answer = status(204); // what fetch gives

  /**
   * @param {{ page?: string, script?: string }} where the addresses of the page and of the script's tag
   */
  constructor({ page = "https://site.test/rooms/1", script = "https://site.test/__tina4/tina4-ws.js" } = {}) {
    const world = this;
    class WebSocket extends EventTarget {
      readyState = 0;
      sent = [];
      closedWith = null;
      protocol = "";

      constructor(url, protocols) {
        super();
        if (protocols === "bad protocol") throw new SyntaxError("bad protocol");
        Object.assign(this, { url, protocols });
        world.sockets.push(this);
      }

      send(data) {
        if (this.readyState === 0) throw new Error("InvalidStateError");
        this.sent.push(data);
      }

      close(code, reason) {
        if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) throw new Error("InvalidAccessError");
        this.closedWith = code === undefined ? [] : [code, reason];
        this.readyState = 2;
      }
    }
    this.document = Object.assign(new EventTarget(), { baseURI: page, hidden: false });
    this.document.currentScript = script ? { src: script } : null;
    this.window = new EventTarget();
    this.navigator = { onLine: true };
    this.globals = {
      AbortController, AbortSignal, Blob, URL, WebSocket,
      crypto: { getRandomValues: (bytes) => bytes.map((_, place) => place) }, // gives ME
      document: this.document,
      navigator: this.navigator,
      location: new URL(page),
      addEventListener: this.window.addEventListener.bind(this.window),
      queueMicrotask,
      setTimeout: this.clock.set,
      clearTimeout: this.clock.clear,
      setInterval: (react, ms) => this.clock.set(react, ms, ms),
      clearInterval: this.clock.clear,
      reportError: (error) => this.reported.push(error),
      console: { warn: (text) => this.warned.push(text) },
      fetch: async (url, options) => {
        this.asked.push({ url: String(url), options });
        return this.answer(url);
      },
    };
    this.globals.AbortSignal = { timeout: () => undefined };
    this.context = vm.createContext(this.globals);
    this.context.clock = this.clock;
    vm.runInContext("Date.now = () => clock.now", this.context);
    this.context.luck = () => this.luck;
    vm.runInContext("Math.random = () => luck()", this.context);
    this.load();
    this.document.currentScript = null;
  }

  load() {
    vm.runInContext(SOURCE, this.context);
  }

  get connect() {
    return this.context.tina4.connect;
  }

  /** The newest WebSocket. */
  get socket() {
    return this.sockets.at(-1);
  }

  /** Connect, and let the handshake succeed unless told otherwise. Gives the connection; `log` is what it was told. */
  async open(path = "ws/x", options = {}) {
    const connection = this.listen(path, options);
    await settle();
    await this.accept();
    return connection;
  }

  /** Connect with callbacks that write down what they are told. */
  listen(path = "ws/x", options = {}) {
    this.log = [];
    const write = (name) => (first, second) => {
      this.log.push([name, second === undefined ? undefined : first]);
      options[name]?.(first, second);
    };
    const names = ["onOpen", "onMessage", "onMissed", "onClose", "onState", ...(options.onJson ? ["onJson"] : [])];
    return this.connect(path, { ...options, ...Object.fromEntries(names.map((name) => [name, write(name)])) });
  }

  get states() {
    return this.log.filter(([name]) => name === "onState").map(([, state]) => state);
  }

  get closings() {
    return this.log.filter(([name]) => name === "onClose").map(([, { code, reason }]) => [code, reason]);
  }

  async accept(socket = this.socket) {
    socket.readyState = 1;
    socket.onopen({});
    await settle();
  }

  async receive(data, socket = this.socket) {
    socket.onmessage({ data });
    await settle();
  }

  /** The connection ends, or the handshake fails. */
  async end(code = 1006, reason = "", socket = this.socket) {
    socket.readyState = 3;
    socket.onclose({ code, reason });
    await settle();
  }

  async happen(name, target = this.window) {
    target.dispatchEvent(new Event(name));
    await settle();
  }
}
