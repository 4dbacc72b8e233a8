// Shows the bars that the WebSocket brings, and sends forms without leaving the page.
// Without this script the poll still works: every form has an address of its own.

import { connect } from "/__tina4/tina4-ws.mjs";

const NAMES = { connecting: "Connecting…", open: "Live", waiting: "Reconnecting…" };

const choices = document.querySelector("#choices");
const status = document.querySelector("#status");
const problem = document.querySelector("#problem");

connect(choices.dataset.live, { onJson: update, onState: show });
document.querySelector("main").addEventListener("submit", send);

function show(state) {
  if (state === "refused") leave(); // logged out, in this window or another
  status.dataset.state = state;
  status.textContent = NAMES[state] ?? "";
}

function leave() {
  location.assign("/login");
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
