// Keeps the board as it is on the server: each ticket that anybody saves arrives as a piece of the page.

const LOGGED_OUT = 4401;
const LEAST_MS = 250;
const CAP_MS = 15_000;

const board = document.getElementById("board");
const badge = document.getElementById("status");
const present = document.getElementById("present");
let socket = null;
let attempt = 0;
let wasOnline = false;
let hasLeft = false;

function show(state, text) {
  badge.dataset.state = state;
  badge.textContent = text;
}

function count() {
  for (const section of board.querySelectorAll("section")) {
    section.querySelector(".count").textContent = section.querySelectorAll("li").length;
  }
}

function put({ ticket, group, html }) {
  const list = document.getElementById(group);
  const old = board.querySelector(`[data-ticket="${ticket}"]`);
  const piece = document.createRange().createContextualFragment(html).firstElementChild;
  // A list shows the newest first.
  const next = [...list.children].find((other) => other !== old && Number(other.dataset.ticket) < ticket);
  old?.remove();
  list.insertBefore(piece, next ?? null);
  piece.classList.add("fresh");
  count();
}

// What was said while this page was away is on the page that a view renders.
async function catchUp() {
  const answer = await fetch(location.href);
  if (answer.redirected) {
    location.assign(answer.url);
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  board.replaceChildren(...page.getElementById("board").children);
}

function connect() {
  const address = new URL("/ws/board", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  show("connecting", "connecting");
  socket.addEventListener("open", () => {
    attempt = 0;
    show("live", "live");
    if (wasOnline) catchUp().catch(() => socket.close());
    wasOnline = true;
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.present) present.textContent = message.present.join(", ");
    if (message.ticket) put(message);
  });
  socket.addEventListener("close", (event) => {
    if (hasLeft) return;
    if (event.code === LOGGED_OUT) {
      location.assign(board.dataset.login);
      return;
    }
    show("offline", "offline");
    // A random wait, so that not all pages come back in the same second.
    setTimeout(connect, Math.max(LEAST_MS, Math.random() * Math.min(CAP_MS, 1_000 * 2 ** attempt++)));
  });
}

// A browser may keep a page that one leaves, for the way back. The others should see us go all the same.
addEventListener("pagehide", () => {
  hasLeft = true;
  socket.close();
});
addEventListener("pageshow", (event) => event.persisted && location.reload());

connect();
