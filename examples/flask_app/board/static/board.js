// Shows what the WebSocket brings, and sends forms without leaving the page.
// Without this script the board still works: every form has an address of its own.

import { connect } from "/__tina4/tina4-ws.mjs";

const NOTE_MS = 6_000;
const NAMES = { connecting: "Connecting…", open: "Live", waiting: "Reconnecting…" };

const board = document.querySelector("#board");
const status = document.querySelector("#status");
const note = document.querySelector("#note");
const problem = document.querySelector("#problem");

let noteTimer = 0;

connect(board.dataset.live, { since: board.dataset.since, onJson: update, onState: show });
document.addEventListener("submit", send);

function show(state) {
  if (state === "refused") leave(); // logged out, in this window or another
  status.dataset.state = state;
  status.textContent = NAMES[state] ?? "";
}

function leave() {
  location.assign(board.dataset.login);
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
