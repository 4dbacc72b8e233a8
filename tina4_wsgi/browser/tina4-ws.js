// tina4.connect(path, options): a WebSocket that reconnects and resumes by itself.
(() => {
  const GIVE_UP = [1008, 4401, 4403]; // policy, no login, not allowed
  const CONNECT_MS = 10_000; // browsers would wait for minutes
  const STABLE_MS = 10_000; // open this long: waits are short again
  const TAKEN_MS = 500; // open this long: the token was good
  const TICK_MS = 15_000;
  const GONE_MS = 90_000; // no tick for this long: the machine slept
  const MOST_HINT_MS = 60_000;
  // How messages begin where history is kept: the greeting, how far all was said, a kept message's number, any other.
  const MARK = /^(?:@([^.:]*)\.([^:]*)\.([nyg])|#([^:]*)|(\d+-\d+)?):/;
  const MOST_MARK_BYTES = 64;

  const { document, location, navigator } = globalThis;
  // The address where the app is mounted, if the app served this script.
  const app = document?.currentScript?.src.match(/.*\/(?=__tina4\/)/)?.[0];
  const report = globalThis.reportError ?? console.error;
  const call = (callback, ...values) => {
    try {
      callback?.(...values);
    } catch (error) {
      report(error);
    }
  };
  const marked = (data) => {
    if (data instanceof Blob) return new Blob([":", data]);
    if (data?.byteLength === undefined) return `:${data}`;
    const bytes = new Uint8Array(1 + data.byteLength);
    bytes[0] = 58; // ":"
    bytes.set(new Uint8Array(data.buffer ?? data, data.byteOffset, data.byteLength), 1);
    return bytes;
  };

  class Connection {
    state = "connecting";
    code = 0;
    reason = "";
    retryAt = 0;
    resumed;
    position;
    #me = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => (byte % 36).toString(36)).join("");
    #isMarked; // the first message of each socket tells
    #ahead; // kept messages that came while others are missing
    #url;
    #options;
    #socket;
    #queue = [];
    #attempt = 0;
    #turn = 0; // late events belong to an older one
    #isUnheard = false; // a handshake failed, and browsers don't say why
    #isRenewing; // a new token was asked for: the next 4401 is final
    #told; // the last warning
    #notBefore = 0;
    #seen = Date.now();
    #timer;
    #listening = new AbortController();
    #tick = setInterval(() => this.#look(), TICK_MS);

    constructor(url, options) {
      this.#url = url;
      this.position = options.since ?? "";
      this.#options = { baseMs: 1_000, capMs: 15_000, maxQueued: 100, giveUpOn: [], ...options };
      const on = (target, name, react) => target?.addEventListener?.(name, react, { signal: this.#listening.signal });
      const wake = () => document?.hidden || this.#hurry(0);
      on(document, "visibilitychange", wake);
      on(document, "resume", wake);
      on(globalThis, "pageshow", wake);
      on(globalThis, "online", () => this.#hurry(Math.random() * this.#options.baseMs));
      on(globalThis, "offline", () => this.#doubt());
      // Leave the room with the page, which the browser may keep for the back button.
      on(globalThis, "pagehide", () => this.#queue && this.#rest(1001, "page hidden", Infinity));
      queueMicrotask(() => this.state === "connecting" && this.#start());
    }

    get protocol() {
      return this.#socket?.protocol ?? "";
    }

    send(data) {
      const isOpen = this.state === "open" && this.#socket.readyState === 1;
      if (isOpen) this.#socket.send(this.#isMarked ? marked(data) : data);
      else if (this.#queue?.length < this.#options.maxQueued) this.#queue.push(data);
      else return false;
      return true;
    }

    sendJson(value) {
      return this.send(JSON.stringify(value));
    }

    retry() {
      if (!/waiting|refused/.test(this.state)) return;
      this.#attempt = this.#notBefore = 0;
      this.#queue ??= [];
      this.#start();
    }

    close(code = 1000, reason = "") {
      if (this.state === "closed") return;
      this.#forget(code, reason);
      clearInterval(this.#tick);
      this.#listening.abort();
      this.#become("closed", code, reason);
    }

    #become(state, code = 0, reason = "") {
      const wasOpen = this.state === "open";
      Object.assign(this, { state, code, reason });
      if (/closed|refused/.test(state)) this.#queue = undefined;
      call(this.#options.onState, state, this);
      if (wasOpen) call(this.#options.onClose, { code, reason }, this);
    }

    async #start() {
      const turn = this.#forget();
      const isLate = () => turn !== this.#turn;
      this.#timer = setTimeout(() => this.#lost(1006, "no answer"), CONNECT_MS);
      this.#become("connecting");
      try {
        const answer = this.#isUnheard && !isLate() && (await this.#ask(...(await this.#address())));
        if (isLate() || this.#heeds(answer)) return;
        const [url, protocols] = await this.#address();
        if (isLate()) return;
        const position = this.position && `.${encodeURIComponent(this.position)}`;
        url.search += `${url.search && "&"}tina4=1.${this.#me}${position}`;
        this.#open(new WebSocket(url.href.replace("http", "ws"), protocols));
      } catch (error) {
        if (isLate()) return;
        report(error);
        this.#lost(1006, `${error}`);
      }
    }

    #open(socket) {
      const isMine = () => socket === this.#socket;
      this.#socket = socket;
      this.#isUnheard = true;
      this.#isMarked = this.resumed = undefined;
      socket.binaryType = "arraybuffer";
      socket.onmessage = ({ data }) => {
        const message = isMine() ? this.#read(data) : undefined;
        if (message !== undefined && isMine()) this.#received(message);
      };
      socket.onclose = ({ code, reason }) => isMine() && this.#lost(code, reason);
      socket.onopen = () => {
        if (!isMine()) return;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => (this.#attempt = 0), STABLE_MS);
        setTimeout(() => isMine() && (this.#isRenewing = false), TAKEN_MS);
        this.#isUnheard = false;
        this.#told = undefined;
        this.#seen = Date.now();
        this.#become("open");
        if (isMine()) call(this.#options.onOpen, this);
        // After the messages that onOpen sends.
        while (isMine() && socket.readyState === 1 && this.#queue.length) socket.send(this.#queue.shift());
      };
    }

    // Returns the message without its mark; undefined if it is none for the page.
    #read(data) {
      if (this.#isMarked === undefined) {
        this.#isMarked = `${data}`.startsWith(`@${this.#me}.`);
        if (this.#isMarked) this.#socket.send(`@${this.#me}:`);
        // Without history nobody knows what was said meanwhile.
        else this.#begin("", this.position ? false : null);
      }
      if (!this.#isMarked) return data;
      const isText = typeof data === "string";
      const head = isText ? data : String.fromCharCode(...new Uint8Array(data.slice(0, MOST_MARK_BYTES)));
      const [mark, me, start, how, here, kept] = MARK.exec(head) ?? [];
      if (me === this.#me) this.#begin(start, { n: null, y: true, g: false }[how]);
      else if (here !== undefined) this.#reach(here || "-");
      else if (mark && me === undefined && !this.#ahead?.has(kept)) {
        if (kept) this.#count(kept);
        return data.slice(mark.length);
      }
    }

    // True: all that was missed follows; false: some of it can't; null: a newcomer misses nothing.
    #begin(position, resumed) {
      this.resumed = resumed;
      if (!resumed) this.#reach(position);
      this.#ahead ??= new Set();
      if (resumed === false) call(this.#options.onMissed, this);
    }

    #reach(position) {
      this.position = position;
      this.#ahead = position.includes(".") ? undefined : new Set(); // "-" is void
    }

    // What is missing may come after it: then the position must stay.
    #count(kept) {
      if (this.#ahead) return this.#ahead.add(kept);
      const [epoch, reached] = this.position.split(".");
      const numbers = Object.fromEntries(Array.from(reached.matchAll(/(\d+)-(\d+)/g), ([, ...pair]) => pair));
      const [shard, number] = kept.split("-");
      numbers[shard] = Math.max(number, numbers[shard] ?? 0);
      const pairs = Object.entries(numbers); // in the order of the shards
      this.position = `${epoch}.${pairs.map((pair) => pair.join("-")).join("_")}`;
    }

    #received(data) {
      const { onJson, onMessage } = this.#options;
      let value;
      try {
        if (onJson && typeof data === "string") value = JSON.parse(data);
      } catch {}
      if (value === undefined) call(onMessage, data, this);
      else call(onJson, value, this);
    }

    #lost(code, reason, leastMs = 0) {
      const { baseMs, capMs, giveUpOn, token, protocols } = this.#options;
      if (code === 4401 && !this.#isRenewing && (token?.call || protocols?.call)) this.#isRenewing = true;
      else if (GIVE_UP.concat(giveUpOn).includes(code)) {
        this.#forget();
        this.#warn(`refused, ${code} ${reason}`);
        return this.#become("refused", code, reason);
      }
      // The server found a mistake: unless it is logged, a message is lost and nobody knows.
      if (code > 1006 && code < 1012) this.#warn(`closed, ${code} ${reason}`);
      // A server that stops tells each client when to return: not a failure.
      const hint = /; retry in (\d{1,6}) ms$/.exec(reason);
      if (hint) this.#attempt = 0;
      this.#notBefore = Date.now() + Math.min(hint?.[1] ?? leastMs, MOST_HINT_MS);
      // Otherwise full jitter: many pages may have lost the connection at once.
      this.#rest(code, reason, hint ? 0 : Math.random() * Math.min(capMs, baseMs * 2 ** this.#attempt++));
    }

    #rest(code, reason, delayMs) {
      this.#forget();
      this.#plan(delayMs);
      this.#become("waiting", code, reason);
    }

    #plan(delayMs) {
      const at = Math.max(Date.now(), this.#notBefore) + delayMs;
      if (this.retryAt && at > this.retryAt) return; // the next attempt is sooner
      clearTimeout(this.#timer);
      this.retryAt = at;
      if (at < Infinity) this.#timer = setTimeout(() => this.#start(), at - Date.now());
    }

    #hurry(delayMs) {
      this.#look();
      if (this.state === "waiting") this.#plan(delayMs);
    }

    #look() {
      if (navigator?.onLine === false) return;
      const hasSlept = Date.now() - this.#seen > GONE_MS;
      this.#seen = Date.now();
      if (hasSlept && this.state === "open") this.#lost(1006, "asleep");
    }

    // A server on this machine is reachable while the browser is "offline": ask it.
    async #doubt() {
      const socket = this.#socket;
      if ((await this.#ask(this.#url)) === null && socket && socket === this.#socket) this.#lost(1006, "offline");
    }

    // Returns how the server would answer a handshake; null if it can't be reached.
    async #ask(url, protocols = []) {
      // Another origin can't be asked: take repeated failures after a 4401 for one more.
      if (url.origin !== location?.origin) return this.#isRenewing && this.#attempt > 3 && { status: 401 };
      return fetch(url, {
        method: "HEAD",
        headers: { "Tina4-Probe": `${protocols}` || "1" },
        redirect: "manual",
        signal: AbortSignal.timeout(CONNECT_MS),
      }).catch(() => null);
    }

    #heeds(answer) {
      const { status, headers } = answer ?? {};
      const code = answer === null ? 1006 : { 401: 4401, 403: 4403, 503: 1013 }[status];
      this.#isUnheard = false; // connect the next time, even if asking fails
      if (status > 399 && !code) this.#warn(`HTTP ${status}${status === 404 ? ", no WebSocket route has this path" : ""}`);
      if (code) this.#lost(code, status ? `HTTP ${status}` : "unreachable", headers?.get("Retry-After") * 1000 || 0);
      return code;
    }

    // Warns once, however often it is tried.
    #warn(told) {
      if (told !== this.#told) globalThis.console?.warn(`tina4: ${this.#url.pathname} ${told}`);
      this.#told = told;
    }

    async #address() {
      const { token, protocols } = this.#options;
      const url = new URL(this.#url);
      const value = await (token?.call ? token() : token);
      if (value) url.searchParams.set("token", value);
      return [url, (await (protocols?.call ? protocols() : protocols)) ?? []];
    }

    #forget(...goodbye) {
      this.#socket?.close(...goodbye); // first, because it may throw
      this.#socket = undefined;
      clearTimeout(this.#timer);
      this.retryAt = 0;
      return ++this.#turn;
    }
  }

  function connect(path, options = {}) {
    const page = document?.baseURI ?? location?.href;
    const url = new URL(path, new URL(options.base ?? app ?? page ?? path, page));
    url.protocol = url.protocol.replace("ws", "http");
    url.hash = "";
    return new Connection(url, options);
  }

  globalThis.tina4 ??= {};
  tina4.connect ??= connect;
})();
