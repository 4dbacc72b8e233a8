// What all the example pages share: a list of messages, a composer, the state of the connection.
//
// Each page brings its own small protocol, an object with
//   path              where to connect; without it the page calls `open(path)` itself
//   write(text, name) gives what to send for a message: an object, or a plain text
//   read(data)        turns what arrived into { note }, { author, text, timestamp } or { typing }
//   isEcho(message, sent)  whether that message is our own `sent`, a { text, name }, come back
//   rename(name)      for pages with names: what to send for a new one, or null
//   typing()          for pages with typing indicators: what to send while we type
//
// A broadcast comes back to its sender too. Our own message is shown at once, as pending, and settled when it
// comes back. If the connection goes first, its text returns to the composer, and its writer decides. Where the route
// keeps history, it may still come, with all that was missed: then it leaves the composer again.

import { connect } from "/__tina4/tina4-ws.mjs";
import { Composer } from "./composer.js";
import { MessageLog } from "./message-log.js";
import { NameTag } from "./name-tag.js";
import { StatusBadge } from "./status-badge.js";
import { Typing } from "./typing.js";

const MOST_RETURNED = 100;

export function startConversation(protocol) {
  let connection = null;
  const log = new MessageLog(document.querySelector("#log"), document.querySelector("#to-latest"));
  const nameTag = protocol.rename ? new NameTag(tellName) : null;
  const typing = protocol.typing ? new Typing(() => deliver(protocol.typing())) : null;
  const composer = new Composer(send, () => typing?.typed(ownName()));
  const badge = new StatusBadge(() => connection?.retry());
  const pending = []; // our messages that have not come back yet, oldest first
  let returned = []; // those whose texts went back to the composer
  let wasOpen = false;

  /** Connect to a path; what was open before is closed. */
  function open(path) {
    connection?.close();
    // Nothing is queued: what can't go out stays in the composer, where its writer sees it.
    connection = connect(path, {
      maxQueued: 0,
      onMessage: heard,
      onMissed: () => log.addNote("Some messages are missing here", "local"),
      onOpen: opened,
      onState: changed,
    });
  }

  function deliver(message) {
    if (!connection) return false;
    return typeof message === "string" ? connection.send(message) : connection.sendJson(message);
  }

  function ownName() {
    return nameTag?.name ?? "You";
  }

  function tellName(name) {
    const message = protocol.rename(name);
    if (message) deliver(message);
  }

  function send(text) {
    const name = ownName();
    if (!deliver(protocol.write(text, name))) return false;
    const entry = log.addMessage({ author: name, text, isOwn: true, isPending: true });
    pending.push({ text, name, entry });
    typing?.sent();
    return true;
  }

  function receive(message) {
    if (message.typing !== undefined) {
      typing?.heard(message.typing);
    } else if (message.note !== undefined) {
      log.addNote(message.note);
    } else {
      const isOwn = settle(message);
      if (!isOwn || message.isReply) log.addMessage(message);
      if (!isOwn) typing?.stopped(message.author);
    }
  }

  /** Whether `message` is one of ours come back; it then counts as delivered. */
  function settle(message) {
    const index = pending.findIndex((sent) => protocol.isEcho(message, sent));
    if (index < 0) return wasTaken(message);
    const [delivered] = pending.splice(index, 1);
    log.settle(delivered.entry, message.timestamp);
    // The server takes our messages in their order, so those before this one were not taken.
    takeBack(pending.splice(0, index));
    return true;
  }

  /** Whether `message` is one of ours whose text we had taken back too early. */
  function wasTaken(message) {
    const index = connection.resumed ? returned.findIndex((sent) => protocol.isEcho(message, sent)) : -1;
    if (index < 0) return false;
    const [{ text }] = returned.splice(index, 1);
    composer.withdraw(text);
    log.addMessage({ ...message, isOwn: true });
    return true;
  }

  function takeBack(messages) {
    returned = returned.concat(messages).slice(-MOST_RETURNED);
    for (const { entry } of messages) entry.remove();
    composer.giveBack(messages.map(({ text }) => text));
  }

  function heard(data) {
    try {
      receive(protocol.read(data));
    } catch (error) {
      console.error("message not understood", error); // one odd message must not stop the page
    }
  }

  function opened() {
    wasOpen = true;
    composer.backOnline();
    // A new connection is a new user to the server: tell it our name again.
    if (nameTag?.isChosen) tellName(nameTag.name);
  }

  function changed(state, { reason }) {
    badge.show(connection);
    if (state === "open") return;
    takeBack(pending.splice(0));
    typing?.reset();
    if (state === "refused") log.addNote(`Closed by the server: ${reason}`, "local");
    else if (wasOpen) log.addNote("Connection lost", "local");
    wasOpen = false;
  }

  if (protocol.path) open(protocol.path);
  return { open };
}

/** The room that the page's address names. */
export const room = document.body.dataset.room ?? "";

/** A path with a room in it; names may hold any character. */
export function roomPath(prefix) {
  return `${prefix}/${encodeURIComponent(room)}`;
}
