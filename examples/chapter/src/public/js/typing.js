// "Ada is typing…": tells the others when we type, at most every other second, and shows who else does.

const TELL_EVERY_MS = 2_000;
const FORGET_AFTER_MS = 3_500;

export class Typing {
  #line = document.querySelector("#typing");
  #timers = new Map();
  #tell;
  #toldAt = 0;
  #ownEchoes = [];

  /** @param tell sends our typing to the server; gives false if that was not possible. */
  constructor(tell) {
    this.#tell = tell;
  }

  /** We typed. The server sends our own notice back to us too, under the name we had then. */
  typed(name) {
    if (Date.now() - this.#toldAt < TELL_EVERY_MS) return;
    if (!this.#tell()) return;
    this.#toldAt = Date.now();
    this.#ownEchoes.push(name);
  }

  /** A notice came in. Two people may have one name, so our own is known by its turn and not by name alone. */
  heard(name) {
    if (this.#ownEchoes[0] === name) {
      this.#ownEchoes.shift();
      return;
    }
    clearTimeout(this.#timers.get(name));
    this.#timers.set(name, setTimeout(() => this.stopped(name), FORGET_AFTER_MS));
    this.#show();
  }

  stopped(name) {
    clearTimeout(this.#timers.get(name));
    if (this.#timers.delete(name)) this.#show();
  }

  /** Our message is out: the next keystroke is news again. */
  sent() {
    this.#toldAt = 0;
  }

  /** The connection is gone: nobody's notice counts any more. */
  reset() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#ownEchoes = [];
    this.#toldAt = 0;
    this.#show();
  }

  #show() {
    const names = [...this.#timers.keys()];
    if (names.length === 0) this.#line.textContent = "";
    else if (names.length === 1) this.#line.textContent = `${names[0]} is typing…`;
    else if (names.length === 2) this.#line.textContent = `${names[0]} and ${names[1]} are typing…`;
    else this.#line.textContent = "Several people are typing…";
    this.#line.classList.toggle("active", names.length > 0);
  }
}
