// Shows what the thermometers measure as the WebSocket brings it; everything else goes through the JSON API.

const LONGEST_WAIT_MS = 15_000;
const SHORTEST_WAIT_MS = 250;
const NAMES = { connecting: "Connecting…", live: "Live", waiting: "Reconnecting…" };
const COLD_C = -10;
const HOT_C = 40;

const door = document.querySelector("#door");
const house = document.querySelector("#house");
const values = document.querySelector("#values");
const status = document.querySelector("#status");
let losses = 0;
let socket = null;

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
  if (answer === null) return setTimeout(greet, LONGEST_WAIT_MS * Math.random());
  const { user } = await answer.json();
  door.hidden = user !== null;
  house.hidden = user === null;
  document.querySelector("#user").textContent = user ?? "";
  if (user !== null) connect();
}

async function enter(form, address, fields) {
  const answer = await call("POST", address, fields);
  await tell(form, answer);
  if (!answer?.ok) return;
  form.reset();
  socket?.close();
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

function connect() {
  show("connecting");
  const opened = (socket = new WebSocket(Object.assign(new URL("/live", location), {
    protocol: location.protocol.replace("http", "ws"),
  })));
  opened.addEventListener("open", () => show("live"));
  opened.addEventListener("message", (event) => {
    losses = 0;
    update(JSON.parse(event.data));
  });
  opened.addEventListener("close", (event) => {
    if (event.code === 4401) return greet(); // logged out, in this window or another
    if (opened !== socket || house.hidden) return;
    show("waiting");
    // Random, below a ceiling that doubles: pages that lost one server don't all return in the same second.
    const ceiling = Math.min(LONGEST_WAIT_MS, 1_000 * 2 ** losses++);
    setTimeout(greet, Math.max(SHORTEST_WAIT_MS, Math.random() * ceiling));
  });
}

function show(state) {
  status.dataset.state = state;
  status.textContent = NAMES[state];
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
