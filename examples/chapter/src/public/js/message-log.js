// The list of messages. Everything a peer wrote goes in as `textContent`, so markup in it stays text.

const MOST_ENTRIES = 500; // a page left open for a week stays light
const NEAR_BOTTOM_PX = 48;
const HUES = 8;

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function hueOf(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return String(sum % HUES);
}

/** A <time> for "12:00:03", which is shown as it is, or for an ISO 8601 instant, shown in the reader's own zone. */
function timeElement(timestamp = "") {
  const instant = new Date(timestamp);
  if (Number.isNaN(instant.getTime())) return element("time", "time", timestamp);
  const made = element("time", "time", instant.toLocaleTimeString([], { timeStyle: "short" }));
  made.dateTime = timestamp;
  return made;
}

export class MessageLog {
  #list;
  #toLatest;

  constructor(list, toLatest) {
    this.#list = list;
    this.#toLatest = toLatest;
    list.addEventListener("scroll", () => this.#isAtBottom() && (toLatest.hidden = true), { passive: true });
    toLatest.addEventListener("click", () => this.#scrollDown());
    // A phone's keyboard makes the list shorter: what was at the bottom should stay there.
    let wasAtBottom = true;
    list.addEventListener("scroll", () => (wasAtBottom = this.#isAtBottom()), { passive: true });
    new ResizeObserver(() => wasAtBottom && this.#scrollDown()).observe(list);
  }

  /** A line about the room itself: joins, leaves, new names. */
  addNote(text, className = "") {
    const note = element("p", `note ${className}`);
    const inner = element("span", "", text);
    inner.dir = "auto";
    note.append(inner);
    this.#append(note);
  }

  /** A message; gives the element back so that a pending one can be settled later. */
  addMessage({ author, text, timestamp = "", isOwn = false, isPending = false }) {
    const entry = element("article", "message");
    entry.classList.toggle("own", isOwn);
    entry.classList.toggle("pending", isPending);
    entry.dataset.author = author;

    const avatar = element("span", "avatar", [...author][0]?.toUpperCase() ?? "?");
    avatar.dataset.hue = hueOf(author);
    avatar.ariaHidden = "true";
    const name = element("p", "author", author);
    name.dir = "auto";
    const bubble = element("div", "bubble");
    bubble.dir = "auto"; // as the text wants it: one may write Arabic below a Latin name
    const time = isPending ? element("span", "time", "Sending…") : timeElement(timestamp);
    bubble.append(name, element("p", "text", text), time);
    entry.append(avatar, bubble);
    this.#append(entry, isOwn);
    return entry;
  }

  /** A pending message has come back: it takes its place in the order in which everybody sees the messages. */
  settle(entry, timestamp) {
    entry.classList.remove("pending");
    entry.querySelector(".time").replaceWith(timeElement(timestamp));
    if (entry === this.#list.lastElementChild) return; // moving it would have it read out twice
    const next = entry.nextElementSibling;
    this.#append(entry);
    markContinued(next);
  }

  #append(entry, follow = false) {
    const stay = !follow && !this.#isAtBottom();
    this.#list.append(entry);
    markContinued(entry);
    while (this.#list.children.length > MOST_ENTRIES) this.#list.firstElementChild.remove();
    if (stay) this.#toLatest.hidden = false;
    else this.#scrollDown();
  }

  #isAtBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
  }

  #scrollDown() {
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#toLatest.hidden = true;
  }
}

/** Several messages of one author in a row show the name once. */
function markContinued(entry) {
  const previous = entry.previousElementSibling;
  const isContinued =
    entry.matches(".message") &&
    Boolean(previous?.matches(".message")) &&
    previous.dataset.author === entry.dataset.author &&
    previous.matches(".own") === entry.matches(".own");
  entry.classList.toggle("continued", isContinued);
}
