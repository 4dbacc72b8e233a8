// One room: shows what is said in it, and sends what is typed.
const log = document.querySelector("#log");
const form = document.querySelector("#form");
const text = document.querySelector("#text");
const name = localStorage.getItem("name") ?? `Guest ${Math.floor(Math.random() * 1000)}`;

// Comes back by itself when the connection is lost.
const room = tina4.connect(`/ws/room/${encodeURIComponent(log.dataset.room)}?name=${encodeURIComponent(name)}`, {
  onJson: show,
  onState: (state) => (document.querySelector("#state").textContent = state),
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (text.value.trim() && room.sendJson({ text: text.value })) form.reset();
});

function show({ name, text, note }) {
  const line = document.createElement("li");
  line.className = note ? "note" : "message";
  line.textContent = note ?? `${name}: ${text}`;
  log.append(line);
  line.scrollIntoView();
}
