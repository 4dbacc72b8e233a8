// A token in the query, checked in "open". The server closes with 4401 when it doesn't know the token,
// and the page then stops: trying again would not help.
import { startConversation } from "./conversation.js";

const { open } = startConversation({
  write: (text) => ({ text }),
  read(data) {
    const { type, message, from, text } = JSON.parse(data);
    return type === "message" ? { author: String(from), text: String(text) } : { note: String(message) };
  },
  isEcho: (message, sent) => message.text === sent.text,
});

const tokenInput = document.querySelector("#token");

document.querySelector("#token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  open(`/ws/private?token=${encodeURIComponent(tokenInput.value)}`);
});

for (const button of document.querySelectorAll("[data-token]")) {
  button.addEventListener("click", () => {
    tokenInput.value = button.dataset.token;
    tokenInput.form.requestSubmit();
  });
}
