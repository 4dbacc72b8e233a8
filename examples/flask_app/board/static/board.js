// Shows what the WebSocket brings, and sends forms without leaving the page.
// Without this script the board still works: every form has an address of its own.

const LONGEST_WAIT_MS = 15_000;
const SHORTEST_WAIT_MS = 250;
const NOTE_MS = 6_000;
const NAMES = { connecting: "Connecting…", live: "Live", waiting: "Reconnecting…" };

const board = document.querySelector("#board");
const status = document.querySelector("#status");
const note = document.querySelector("#note");
const problem = document.querySelector("#problem");

let losses = 0;
let noteTimer = 0;

connect();
document.addEventListener("submit", send);

function connect() {
  show("connecting");
  const socket = new WebSocket(board.dataset.live);
  socket.addEventListener("open", () => show("live"));
  socket.addEventListener("message", (event) => {
    losses = 0;
    update(JSON.parse(event.data));
  });
  socket.addEventListener("close", (event) => {
    if (event.code === 4401) return leave(); // logged out, in this window or another
    show("waiting");
    // Random, below a ceiling that doubles: pages that lost one server don't all return in the same second.
    const ceiling = Math.min(LONGEST_WAIT_MS, 1_000 * 2 ** losses++);
    setTimeout(reconnect, Math.max(SHORTEST_WAIT_MS, Math.random() * ceiling));
  });
}

async function reconnect() {
  // A script is not told why a handshake was refused; a page that sends to the log-in form tells.
  const page = await fetch("/", { method: "HEAD", redirect: "manual" }).catch(() => null);
  if (page?.type === "opaqueredirect") leave();
  else connect();
}

function leave() {
  location.assign(board.dataset.login);
}

function show(state) {
  status.dataset.state = state;
  status.textContent = NAMES[state];
}

function update(message) {
  const focused = document.activeElement?.id;
  board.innerHTML = message.html; // made by the same template as the page, which escapes what people wrote
  if (message.note) tell(message.note);
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
}

function tell(text) {
  note.textContent = text;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => (note.textContent = ""), NOTE_MS);
}

async function send(event) {
  const { target: form, submitter } = event;
  if (!form.closest("main")) return; // logging out leaves the page
  event.preventDefault();
  const answer = await fetch(submitter?.getAttribute("formaction") ?? form.getAttribute("action"), {
    method: "POST",
    body: new FormData(form, submitter),
    headers: { Accept: "application/json" },
  }).catch(() => null);
  if (answer?.redirected) return leave();
  problem.hidden = Boolean(answer?.ok);
  if (answer?.ok) form.reset();
  else problem.textContent = "That could not be saved. Is the server there?";
}
