// Keeps the board as it is on the server: each ticket that anybody saves arrives as a piece of the page.

import { connect } from "/__tina4/tina4-ws.mjs";

const NAMES = { connecting: "Connecting…", open: "Live", waiting: "Reconnecting…" };
const FETCH_AGAIN_MS = 1_000;

const board = document.getElementById("board");
const badge = document.getElementById("status");
const present = document.getElementById("present");
let wasOpen = false;

const live = connect("/ws/board", {
  onJson(message) {
    if (message.present) present.textContent = message.present.join(", ");
    if (message.ticket) put(message);
  },
  onOpen() {
    if (wasOpen) catchUp();
    wasOpen = true;
  },
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

// What was said while this page was away is on the page that a view renders.
async function catchUp() {
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) {
    setTimeout(() => live.state === "open" && catchUp(), FETCH_AGAIN_MS);
  } else if (answer.redirected) {
    location.assign(answer.url);
  } else {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    board.replaceChildren(...page.getElementById("board").children);
  }
}
