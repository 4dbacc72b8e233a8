// A room of /ws/chat/{room}: the server keeps no names, so each message carries its writer's.
import { roomPath, startConversation } from "./conversation.js";

startConversation({
  path: roomPath("/ws/chat"),
  write: (text, username) => ({ username, text }),
  rename: () => null,
  read(data) {
    const { type, message, from, text, timestamp } = JSON.parse(data);
    return type === "message" ? { author: String(from), text: String(text), timestamp } : { note: String(message) };
  },
  isEcho: (message, sent) => message.author === sent.name && message.text === sent.text,
});
