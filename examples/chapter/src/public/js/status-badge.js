// The badge that says how the connection is, with the seconds to the next attempt.

export class StatusBadge {
  #frame = document.querySelector("#bar-state");
  #badge = document.querySelector("#status");
  #text = document.querySelector("#status-text");
  #spoken = document.querySelector("#status-spoken");
  #retry = document.querySelector("#retry");
  #connection = null;
  #countdown = 0;
  #wasOpen = false;

  /** @param retry is called when the user does not want to wait. */
  constructor(retry) {
    this.#retry.addEventListener("click", retry);
  }

  /** Show the state of the connection, and while it waits the seconds until it tries again. */
  show(connection) {
    const { state } = connection;
    this.#connection = connection;
    this.#badge.dataset.state = state;
    this.#retry.hidden = state !== "waiting";
    if (state === "open") this.#wasOpen = true;
    // Between two attempts and during them: on a phone the badge then takes a line of its own.
    if (state !== "connecting") this.#frame.classList.toggle("away", state === "waiting");
    this.#showText();
    clearInterval(this.#countdown);
    if (state === "waiting") this.#countdown = setInterval(() => this.#showText(), 250);
    // Screen readers hear each change once, not every second of the countdown.
    if (state === "waiting") this.#spoken.textContent = "Connection lost, reconnecting";
    else if (state !== "connecting") this.#spoken.textContent = this.#words();
  }

  #showText() {
    const words = this.#words();
    if (this.#text.textContent !== words) this.#text.textContent = words;
  }

  #words() {
    switch (this.#connection.state) {
      case "open":
        return "Online";
      case "connecting":
        return this.#wasOpen ? "Reconnecting…" : "Connecting…";
      case "waiting":
        return `Reconnecting in ${Math.max(1, Math.ceil((this.#connection.retryAt - Date.now()) / 1000))} s`;
      case "refused":
        return "Not allowed";
      default:
        return "Not connected";
    }
  }
}
