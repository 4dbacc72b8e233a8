// The exercise's chat room: names, join and leave lines.
import { roomPath, startConversation } from "./conversation.js";

startConversation({
  path: roomPath("/ws/room"),
  write: (text) => ({ type: "chat", text }),
  rename: (name) => ({ type: "set-name", name }),
  read(data) {
    const { type, message, from, text, timestamp } = JSON.parse(data);
    return type === "chat" ? { author: String(from), text: String(text), timestamp } : { note: String(message) };
  },
  isEcho: (message, sent) => message.author === sent.name && message.text === sent.text,
});
