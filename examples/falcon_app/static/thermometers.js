// Shows what the thermometers measure as the WebSocket brings it; everything else goes through the JSON API.

import { connect } from "/__tina4/tina4-ws.mjs";

const NAMES = { connecting: "Connecting…", open: "Live", waiting: "Reconnecting…" };
const ASK_AGAIN_MS = 5_000;
const COLD_C = -10;
const HOT_C = 40;

const door = document.querySelector("#door");
const house = document.querySelector("#house");
const values = document.querySelector("#values");
const status = document.querySelector("#status");
let live = null;

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const { target: form, submitter } = event;
  const fields = Object.fromEntries(new FormData(form));
  if (form.id === "measure") measure(form, fields);
  else enter(form, submitter?.getAttribute("formaction") ?? form.getAttribute("action"), fields);
});
greet();

async function greet() {
  const answer = await call("GET", "/me");
  if (answer === null) return setTimeout(greet, ASK_AGAIN_MS);
  const { user } = await answer.json();
  door.hidden = user !== null;
  house.hidden = user === null;
  document.querySelector("#user").textContent = user ?? "";
  live?.close();
  live = user && connect("/live", { onJson: update, onState: show });
}

async function enter(form, address, fields) {
  const answer = await call("POST", address, fields);
  await tell(form, answer);
  if (!answer?.ok) return;
  form.reset();
  greet();
}

async function measure(form, { place, celsius }) {
  const answer = await call("PUT", `/readings/${encodeURIComponent(place)}`, { celsius: Number(celsius) });
  if (answer?.status === 401) return greet();
  await tell(form, answer);
  if (answer?.ok) form.reset();
}

function call(method, address, body) {
  const headers = { "Content-Type": "application/json" };
  return fetch(address, { method, headers, body: JSON.stringify(body) }).catch(() => null);
}

async function tell(form, answer) {
  const problem = form.closest("main")?.querySelector(".problem");
  if (!problem) return;
  problem.hidden = Boolean(answer?.ok);
  if (answer === null) problem.textContent = "The server doesn't answer. Is it there?";
  else if (!answer.ok) problem.textContent = (await answer.json()).title;
}

function show(state) {
  if (state === "refused") greet(); // logged out, in this window or another
  status.dataset.state = state;
  status.textContent = NAMES[state] ?? "";
}

function update(readings) {
  values.replaceChildren(...readings.map(reading));
  document.querySelector("#nothing").hidden = readings.length > 0;
}

function reading({ place, celsius, user }) {
  const meter = Object.assign(document.createElement("meter"), { min: COLD_C, max: HOT_C, value: celsius });
  const group = element("div", "", element("dt", "", place), element("dd", "celsius", `${celsius.toFixed(1)} °C`));
  group.append(element("dd", "", meter), element("dd", "who", `by ${user}`));
  return group;
}

function element(name, className, ...inside) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...inside); // as text, whatever people wrote
  return made;
}
