// Shows the queue that the WebSocket brings, and sends forms without leaving the page.
// Without this script the desk still works: every form has an address of its own.

import { connect } from "/__tina4/tina4-ws.mjs";

const NAMES = { connecting: "Connecting…", open: "Live", waiting: "Reconnecting…" };

const list = document.querySelector("#tickets");
const status = document.querySelector("#status");
const problem = document.querySelector("#problem");

connect(list.dataset.live, { onJson: update, onState: show });
document.querySelector("main").addEventListener("submit", send);

function show(state) {
  if (state === "refused") leave(); // logged out, in this window or another
  status.dataset.state = state;
  status.textContent = NAMES[state] ?? "";
}

function leave() {
  location.assign(list.dataset.login);
}

function update(tickets) {
  list.replaceChildren(...tickets.map(item));
  document.querySelector("#nothing").hidden = tickets.length > 0;
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
