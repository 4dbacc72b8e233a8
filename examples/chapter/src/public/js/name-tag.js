// Our own name: shown above the composer, changed in place, kept for this tab.

const KEY = "tina4-chapter-name";
const NOBODY = "Anonymous";

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // storage is switched off
  }
}

function store(name) {
  try {
    sessionStorage.setItem(KEY, name);
  } catch {
    // the name then lives as long as the page
  }
}

export class NameTag {
  #shown = document.querySelector("#name-shown");
  #words = document.querySelector("#name-words");
  #change = document.querySelector("#name-change");
  #form = document.querySelector("#name-form");
  #input = document.querySelector("#name-input");
  #name = stored();

  /** @param changed is called with each new name. */
  constructor(changed) {
    this.#show();
    this.#change.addEventListener("click", () => this.#edit(true));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save(this.#input.value.trim(), changed);
    });
    this.#form.addEventListener("keydown", (event) => event.key === "Escape" && this.#edit(false));
    document.querySelector("#name-cancel").addEventListener("click", () => this.#edit(false));
  }

  /** What the others see. */
  get name() {
    return this.#name || NOBODY;
  }

  get isChosen() {
    return this.#name !== "";
  }

  #save(name, changed) {
    if (name && name !== this.#name) {
      this.#name = name;
      store(name);
      changed(name);
    }
    this.#show();
    this.#edit(false);
    document.querySelector("#composer-text").focus();
  }

  #show() {
    this.#words.textContent = this.name;
    this.#change.textContent = this.isChosen ? "Change name" : "Choose a name";
  }

  #edit(isOn) {
    this.#form.hidden = !isOn;
    this.#shown.hidden = isOn;
    if (isOn) {
      this.#input.value = this.#name;
      this.#input.select();
      this.#input.focus();
    } else {
      this.#change.focus();
    }
  }
}
