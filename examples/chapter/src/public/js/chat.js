// The chat of all: the server names everybody by connection id, and tells us ours in its welcome.
import { startConversation } from "./conversation.js";

let ownId = "";

startConversation({
  path: "/ws/chat",
  write: (text) => ({ text }),
  read(data) {
    const { type, message, your_id: yourId, from, text, timestamp } = JSON.parse(data);
    if (type !== "message") {
      ownId = yourId ?? ownId;
      return { note: String(message) };
    }
    return { from, author: `Guest ${String(from).slice(0, 6)}`, text: String(text), timestamp };
  },
  isEcho: (message, sent) => message.from === ownId && message.text === sent.text,
});
