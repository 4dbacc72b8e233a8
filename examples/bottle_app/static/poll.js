// Shows the bars that the WebSocket brings, and sends forms without leaving the page.
// Without this script the poll still works: every form has an address of its own.

const LONGEST_WAIT_MS = 15_000;
const SHORTEST_WAIT_MS = 250;
const NAMES = { connecting: "Connecting…", live: "Live", waiting: "Reconnecting…" };

const choices = document.querySelector("#choices");
const status = document.querySelector("#status");
const problem = document.querySelector("#problem");
let losses = 0;

connect();
document.querySelector("main").addEventListener("submit", send);

function connect() {
  show("connecting");
  const socket = new WebSocket(Object.assign(new URL(choices.dataset.live, location), {
    protocol: location.protocol.replace("http", "ws"),
  }));
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
  const page = await fetch("/", { redirect: "manual" }).catch(() => null);
  if (page?.type === "opaqueredirect") leave();
  else connect();
}

function leave() {
  location.assign("/login");
}

function show(state) {
  status.dataset.state = state;
  status.textContent = NAMES[state];
}

function update(standing) {
  const most = Math.max(1, ...standing.map((one) => one.voters.length));
  const buttons = new Map([...choices.children].map((button) => [button.value, button]));
  for (const { choice, voters } of standing) {
    const button = buttons.get(choice) ?? add(choice);
    button.setAttribute("aria-pressed", voters.includes(choices.dataset.user));
    button.querySelector(".count").textContent = voters.length;
    button.querySelector(".who").textContent = voters.join(", ") || "nobody";
    Object.assign(button.querySelector("meter"), { max: most, value: voters.length });
  }
}

function add(choice) {
  const button = choices.firstElementChild.cloneNode(true);
  button.value = choice;
  button.querySelector(".text").textContent = choice; // as text, whatever people wrote
  choices.append(button);
  return button;
}

async function send(event) {
  event.preventDefault();
  const { target: form, submitter } = event;
  const body = new URLSearchParams(new FormData(form, submitter));
  const answer = await fetch(form.action, { method: "POST", body }).catch(() => null);
  if (answer?.url.endsWith("/login")) return leave();
  problem.hidden = Boolean(answer?.ok);
  if (answer?.ok) form.reset();
  else problem.textContent = "That could not be saved. Is the server there?";
}
