// Echo: plain text goes out, plain text comes back, to us alone.
import { startConversation } from "./conversation.js";

startConversation({
  path: "/ws/echo",
  write: (text) => text,
  read: (data) => ({ author: "Server", text: data, isReply: true }),
  isEcho: (message, sent) => message.text === `Echo: ${sent.text}`,
});
