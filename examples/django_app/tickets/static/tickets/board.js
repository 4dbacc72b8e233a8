// Keeps the board as it is on the server: each ticket that anybody saves arrives as a piece of the page.

import { connect } from "/__tina4/tina4-ws.mjs";

const NAMES = { connecting: "Connecting…", open: "Live", waiting: "Reconnecting…" };

const board = document.getElementById("board");
const badge = document.getElementById("status");
const present = document.getElementById("present");

connect("/ws/board", {
  since: board.dataset.since, // what was saved since then comes first
  onJson(message) {
    if (message.present) present.textContent = message.present.join(", ");
    if (message.ticket) put(message);
  },
  onMissed: () => location.reload(), // away for too long
  onState(state) {
    if (state === "refused") location.assign(board.dataset.login); // logged out, in this window or another
    badge.dataset.state = state;
    badge.textContent = NAMES[state] ?? "";
  },
});

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
