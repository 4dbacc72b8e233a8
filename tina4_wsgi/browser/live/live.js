// The live page. The server sends one bounded summary a second, from which everything is drawn.

import { connect } from "../tina4-ws.mjs";
import { Tile } from "./chart.js";
import { startConsole } from "./console.js";
import { Table } from "./table.js";

const SEARCH_DELAY_MS = 200;
const NOTICE_MS = 4000;

const byId = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const count = (number) => (number < 10000 ? whole.format(number) : short.format(number));
const root = location.pathname.replace(/\/__tina4\/live\/?$/, "");

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  for (; number >= 1024 && unit < units.length - 1; unit += 1) number /= 1024;
  return `${number < 10 && unit ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

const milliseconds = (seconds) => (seconds ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 0)} ms` : "–");

// -- charts

const perSecond = (number) => `${number > 0 && number < 10 ? number.toFixed(1) : count(number)}/s`;
const tiles = [
  ["Connections", count, (now) => now.connections],
  ["Messages in", perSecond, rate("messages_received")],
  ["Messages out", perSecond, rate("messages_sent")],
  ["Bytes out", (number) => `${bytes(number)}/s`, rate("sent_bytes")],
  ["Queued for slow readers", bytes, (now) => now.queued_bytes],
  ["Closes", perSecond, rate("closes")],
].map(([title, format, value]) => ({ tile: new Tile(byId("tiles"), title, format), value }));

function rate(name) {
  return (now, before) => (before ? perSecondOf(now, before, name) : 0);
}

// Unless workers share their numbers, one that ends takes its own away: show 0, not a negative rate.
function perSecondOf(now, before, name) {
  return Math.max(0, (now[name] - before[name]) / Math.max(0.001, now.at_s - before.at_s));
}

let before = null;

function chart(now) {
  for (const { tile, value } of tiles) tile.push(value(now, before));
  before = now;
}

// -- tables

const earlier = { routes: new Map(), workers: new Map() };
let seenAt = null;

function rowRate(table, key, row, name) {
  const old = earlier[table].get(key);
  return old && seenAt ? perSecondOf({ ...row, at_s: before.at_s }, { ...old, at_s: seenAt }, name) : 0;
}

const kickButton = (press, label) => ({ text: "Kick", press, label, style: "danger" });

// Marks broken rules and connections. The app's own codes from 3000 on, and goodbyes, are no fault.
function closeStyle(code) {
  if (code === 1006) return "number warn";
  return code > 1001 && code < 1016 && ![1005, 1012].includes(code) ? "number bad" : "number";
}

const tables = {
  routes: new Table("routes", (row) => row.route, (row) => [
    ["text code", row.route],
    ["number", count(row.connections)],
    ["number", count(rowRate("routes", row.route, row, "messages_received"))],
    ["number", count(rowRate("routes", row.route, row, "messages_sent"))],
    ["number wide", bytes(rowRate("routes", row.route, row, "sent_bytes"))],
    [row.queued_messages ? "number wide" : "number none wide", count(row.queued_messages)],
    [row.callback_errors ? "number bad" : "number none", count(row.callback_errors)],
  ]),
  paths: new Table("paths", (row) => row.path, (row) => [
    ["text", { text: row.path, style: "link", press: () => look(row.path), label: `Show the connections of ${row.path}` }],
    ["text code muted wide", row.route],
    ["number", count(row.connections)],
    [row.queued_bytes ? "number warn" : "number none", bytes(row.queued_bytes)],
    ["act", kickButton(() => askKick({ path: row.path }, row.connections), `Close all connections of ${row.path}`)],
  ]),
  found: new Table("found", (row) => row.id, (row) => [
    ["text code", `${row.ip || "local"} ${row.id.slice(0, 8)}`],
    ["text code muted wide", row.path],
    ["number", duration(Date.now() / 1000 - row.since_s)],
    ["number", count(row.received)],
    ["number", count(row.sent)],
    [row.queued_bytes ? "number warn" : "number none", bytes(row.queued_bytes)],
    ["act", kickButton(() => askKick({ id: row.id }, 1), `Close connection ${row.id.slice(0, 8)}`)],
  ]),
  slow: new Table("slow", (row) => row.id, (row) => [
    ["text code", `${row.ip || "local"} ${row.id.slice(0, 8)}`],
    ["text path code muted", row.path],
    [row.queued_bytes > row.limit_bytes / 2 ? "number bad" : "number warn", bytes(row.queued_bytes)],
    ["number", row.stalled_s === null ? "–" : `${row.stalled_s.toFixed(1)} s`],
    ["act", kickButton(() => askKick({ id: row.id }, 1), `Close connection ${row.id.slice(0, 8)}`)],
  ]),
  closes: new Table("closes", (row) => `${row.at_s} ${row.path} ${row.messages} ${row.seconds}`, (row) => [
    ["muted short", new Date(row.at_s * 1000).toLocaleTimeString("en-GB")],
    ["text path code", row.path],
    [closeStyle(row.code), row.code ?? "–"],
    ["text muted", row.reason],
    ["number wide", duration(row.seconds)],
  ]),
  workers: new Table("workers", (row) => row.pid, (row) => [
    ["", `${row.pid}${row.is_draining ? ", draining" : ""}`],
    ["number", count(row.connections)],
    ["number", count(rowRate("workers", row.pid, row, "messages_received"))],
    ["number", count(rowRate("workers", row.pid, row, "messages_sent"))],
    [row.callbacks_waiting ? "number warn" : "number", count(row.callbacks_running)],
  ]),
  history: new Table("history", (row) => row.pid, ({ pid, history }) => [
    [history.is_up ? "" : "bad", pid],
    ["number", count(history.kept)],
    [history.unkept ? "number bad" : "number none", count(history.unkept)],
    ["number wide none", count(history.repeated)],
    ["number wide", count(history.newcomers)],
    ["number", count(history.resumes)],
    [history.gaps ? "number warn" : "number none", count(history.gaps)],
    ["number wide", count(history.replayed)],
    ["number", milliseconds(history.latest_seconds)],
    ["number wide", milliseconds(history.longest_seconds)],
  ]),
};

// -- messages of the server

let view = { path: "", search: "" };
let latest = null;

function showNow(now) {
  chart(now.totals);
  for (const { tile } of tiles) tile.draw();
  tables.routes.show(now.routes);
  tables.workers.show(now.workers);
  earlier.routes = new Map(now.routes.map((row) => [row.route, row]));
  earlier.workers = new Map(now.workers.map((row) => [row.pid, row]));
  seenAt = now.totals.at_s;
  tables.slow.show(now.slow);
  tables.closes.show(now.closes);
  latest = now;
  if (!view.search) showPaths(now.paths, now.path_count);
  byId("slow-count").textContent = now.totals.slow_consumers ? `${count(now.totals.slow_consumers)} were closed` : "";
  byId("place").textContent = `worker ${now.worker}`;
  byId("backplane").textContent = describe(now.backplane);
  showHistory(now.history, now.workers.filter((worker) => worker.history));
}

function showHistory(history, workers) {
  byId("history-panel").hidden = !history;
  if (!history) return;
  tables.history.show(workers);
  const parts = [history.bytes && bytes(history.bytes), history.failures && `failures: ${count(history.failures)}`];
  byId("history-state").textContent = parts.filter(Boolean).join(", ");
  const byError = new Map();
  for (const { pid, history: { error } } of workers) if (error) byError.set(error, [...(byError.get(error) ?? []), pid]);
  byId("history-error").hidden = !byError.size;
  const errors = Array.from(byError, ([error, pids]) => `Nothing is kept at present in ${pids.join(", ")}: ${error}`);
  byId("history-error").textContent = errors.join("; ");
}

function describe(backplane) {
  if (!backplane || backplane.kind === "none") return "";
  const links = backplane.siblings ? `, ${backplane.siblings} linked` : "";
  return `${backplane.kind}: ${backplane.is_up ? "up" : `down, ${backplane.error}`}${links}`;
}

function showPaths(rows, total) {
  tables.paths.show(rows);
  byId("path-count").textContent = total > rows.length ? `${count(rows.length)} of ${count(total)}` : count(total);
  byId("paths-empty").textContent = view.search ? "No path has this." : "Nobody is connected.";
}

function showFound(answer) {
  if (answer.path !== view.path || answer.search !== view.search) return; // it answers an earlier question
  if (view.search && !view.path) showPaths(answer.paths, answer.path_count);
  byId("found-panel").hidden = !view.path && !view.search;
  byId("found-title").textContent = view.path ? `Connections on ${view.path}` : "Connections found";
  const shown = answer.count > answer.rows.length ? `${count(answer.rows.length)} of ${count(answer.count)}` : count(answer.count);
  byId("found-count").textContent = shown;
  tables.found.show(answer.rows);
}

const handlers = {
  now: showNow,
  found: showFound,
  history(message) {
    before = null;
    for (const { tile } of tiles) tile.clear();
    message.totals.forEach(chart);
  },
  kicked: (message) => notice(`${count(message.count)} closed`),
  refused: (message) => notice(`Not done: ${message.message}`),
};

// -- orders to the server

function ask(order) {
  // Never queue an order: it was meant for what the page showed at that moment.
  if (socket?.state === "open") socket.sendJson(order);
}

function watch(changed) {
  view = { ...view, ...changed };
  if (!view.path && !view.search) byId("found-panel").hidden = true;
  if (!view.search && latest) showPaths(latest.paths, latest.path_count);
  ask({ do: "watch", ...view });
}

function look(path) {
  watch({ path });
  console_.prefill(path);
  byId("found-panel").hidden = false;
  byId("found-close").focus();
}

let searchTimer = 0;
byId("search").addEventListener("input", (event) => {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(() => watch({ path: "", search: event.target.value.trim() }), SEARCH_DELAY_MS);
});
byId("found-close").addEventListener("click", () => {
  byId("search").value = "";
  watch({ path: "", search: "" });
  byId("search").focus();
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, dialog");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    byId("search").focus();
  }
});

const dialog = byId("kick");
let target = null;

function askKick(whom, number) {
  target = whom;
  const all = number === 1 ? "The one connection" : `All ${count(number)} connections`;
  byId("kick-whom").textContent = whom.path ? `${all} on ${whom.path}` : `The connection ${whom.id}`;
  byId("kick-reason").value = "";
  dialog.showModal();
  byId("kick-reason").focus();
}

byId("kick-cancel").addEventListener("click", () => dialog.close());
byId("kick-form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask({ do: "kick", ...target, code: Number(byId("kick-code").value), reason: byId("kick-reason").value });
  dialog.close();
});

let noticeTimer = 0;
function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (byId("notice").hidden = true), NOTICE_MS);
}

// -- the socket

let socket = null;
let hasBeenOpen = false;

function showState(state) {
  hasBeenOpen ||= state === "open";
  byId("status").dataset.state = state;
  byId("status").textContent =
    { open: "live", refused: "logged out, reload the page" }[state] ?? (hasBeenOpen ? "connecting again" : "connecting");
}

const console_ = startConsole(root);
for (const table of Object.values(tables)) table.show([]);
socket = connect(`${root}/__tina4/live/socket`, {
  baseMs: 500,
  capMs: 8000,
  onState: showState,
  onJson: (message) => handlers[message.type]?.(message),
  onOpen(opened) {
    seenAt = null;
    if (view.path || view.search) opened.sendJson({ do: "watch", ...view });
  },
});
