// Announcements: everybody on the path gets each of them. The server doesn't tell us our own id,
// so an announcement of ours is known by its text.
import { startConversation } from "./conversation.js";

startConversation({
  path: "/ws/announcements",
  write: (text) => ({ text }),
  read(data) {
    const { type, message, from, text, timestamp } = JSON.parse(data);
    if (type !== "announcement") return { note: String(message) };
    return { author: `Guest ${String(from).slice(0, 6)}`, text: String(text), timestamp };
  },
  isEcho: (message, sent) => message.text === sent.text,
});
