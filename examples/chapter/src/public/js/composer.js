// Where one writes. Enter sends, Shift+Enter starts a new line.

const MOST_ROWS_PX = 160;

export class Composer {
  #form = document.querySelector("#composer");
  #text = document.querySelector("#composer-text");
  #hint = document.querySelector("#composer-hint");

  /**
   * @param send takes the text and gives false if it could not go out; the text then stays.
   * @param typed is called at each change.
   */
  constructor(send, typed = () => {}) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(send);
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit(send);
    });
    this.#text.addEventListener("input", () => {
      this.#grow();
      if (this.#text.value.trim()) typed();
    });
  }

  /** Put texts that never arrived back in front of what is being written. */
  giveBack(texts) {
    if (texts.length === 0) return;
    this.#text.value = [...texts, this.#text.value].filter(Boolean).join("\n");
    this.#grow();
    this.#say("Not delivered, so your text is back here.");
  }

  /** Remove a text that arrived after all, if it still stands in front. */
  withdraw(text) {
    const { value } = this.#text;
    if (value !== text && !value.startsWith(`${text}\n`)) return;
    this.#text.value = value.slice(text.length + 1);
    this.#grow();
    this.#say("");
  }

  backOnline() {
    this.#say(this.#text.value && this.#hint.textContent ? "Back online. Your text is still here." : "");
  }

  #say(hint) {
    this.#hint.textContent = hint;
  }

  #submit(send) {
    const text = this.#text.value.trim();
    if (!text) return;
    if (!send(text)) {
      this.#say("You are not connected. Your text is kept; send it when you are back online.");
      return;
    }
    this.#text.value = "";
    this.#grow();
    this.#say("");
    this.#text.focus();
  }

  #grow() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${Math.min(this.#text.scrollHeight, MOST_ROWS_PX)}px`;
  }
}
