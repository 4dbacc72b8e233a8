// One room: shows what is said in it, and sends what is typed.
const log = document.querySelector("#log");
const form = document.querySelector("#form");
const text = document.querySelector("#text");
const name = document.querySelector("#name");

// Each window has a name of its own, so that two of one browser are two people.
name.value = sessionStorage.getItem("name") ?? `Guest ${Math.floor(Math.random() * 1000)}`;
let room = enter();

name.addEventListener("change", () => {
  const since = room.position; // what is shown already needn't come again
  room.close();
  room = enter(since);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (text.value.trim() && room.sendJson({ text: text.value })) form.reset();
});

// Comes back by itself when the connection is lost, and gets what was said meanwhile.
function enter(since) {
  sessionStorage.setItem("name", name.value);
  return tina4.connect(`/ws/room/${encodeURIComponent(log.dataset.room)}?name=${encodeURIComponent(name.value)}`, {
    since,
    onJson: show,
    onMissed: () => log.replaceChildren(), // away for too long: the latest messages follow
    onState: (state, from) => {
      if (from === room) document.querySelector("#state").textContent = state; // not of one that was left
    },
  });
}

function show({ name, text, note }) {
  const line = document.createElement("li");
  line.className = note ? "note" : "message";
  line.textContent = note ?? `${name}: ${text}`;
  log.append(line);
  line.scrollIntoView();
}
