// Shows the queue that the WebSocket brings, and sends forms without leaving the page.
// Without this script the desk still works: every form has an address of its own.

const LONGEST_WAIT_MS = 15_000;
const SHORTEST_WAIT_MS = 250;
const NAMES = { connecting: "Connecting…", live: "Live", waiting: "Reconnecting…" };

const list = document.querySelector("#tickets");
const status = document.querySelector("#status");
const problem = document.querySelector("#problem");
let losses = 0;

connect();
document.querySelector("main").addEventListener("submit", send);

function connect() {
  show("connecting");
  const socket = new WebSocket(Object.assign(new URL(list.dataset.live, location), {
    protocol: location.protocol.replace("http", "ws"),
  }));
  socket.addEventListener("open", () => show("live"));
  socket.addEventListener("message", (event) => {
    losses = 0;
    list.replaceChildren(...JSON.parse(event.data).map(item));
    document.querySelector("#nothing").hidden = list.children.length > 0;
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
  location.assign(list.dataset.login);
}

function show(state) {
  status.dataset.state = state;
  status.textContent = NAMES[state];
}

function item(ticket) {
  const solver = ticket.solver === null ? "" : ` · solved by ${ticket.solver}`;
  const found = element("li", "", element("p", "text", ticket.text), element("p", "who", ticket.author + solver));
  found.dataset.number = ticket.number;
  found.classList.toggle("solved", ticket.solver !== null);
  if ("maySolve" in list.dataset && ticket.solver === null) {
    const form = element("form", "", element("button", "", "Solved"));
    form.method = "post";
    form.action = `/tickets/${ticket.number}/solve`;
    found.append(form);
  }
  return found;
}

function element(name, className, ...inside) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...inside); // as text, whatever people wrote
  return made;
}

async function send(event) {
  event.preventDefault();
  const form = event.target;
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) }).catch(() => null);
  if (answer?.url.endsWith(list.dataset.login)) return leave();
  problem.hidden = Boolean(answer?.ok);
  if (answer?.ok) form.reset();
  else problem.textContent = "That could not be saved. Is the server there?";
}
