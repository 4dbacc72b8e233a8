// Live chat: names and typing indicators.
import { roomPath, startConversation } from "./conversation.js";

startConversation({
  path: roomPath("/ws/livechat"),
  write: (text) => ({ type: "message", text }),
  rename: (username) => ({ type: "set-username", username }),
  typing: () => ({ type: "typing" }),
  read(data) {
    const { type, message, from, username, text, timestamp } = JSON.parse(data);
    if (type === "typing") return { typing: String(username) };
    if (type === "message") return { author: String(from), text: String(text), timestamp };
    return { note: String(message) };
  },
  isEcho: (message, sent) => message.author === sent.name && message.text === sent.text,
});
