// The console: one more client of the app, with this browser's cookies; each route's auth decides about it.

const MOST_LINES = 200;

export function startConsole(root) {
  const byId = (id) => document.getElementById(`console-${id}`);
  const [path, toggle, state, log, text, button] = ["path", "toggle", "state", "log", "text", "button"].map(byId);
  let socket = null;

  function note(style, line) {
    const item = document.createElement("li");
    item.className = style;
    item.textContent = line;
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
    log.append(item);
    while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }

  function show(isOpen, words) {
    state.textContent = words;
    toggle.textContent = socket ? "Leave" : "Join";
    path.disabled = Boolean(socket);
    text.disabled = button.disabled = !isOpen;
    if (isOpen) text.focus();
  }

  function join() {
    const wanted = path.value.trim();
    // A second leading slash, of either kind, would name another host.
    const address = new URL(`${root}/${wanted.replace(/^[/\\]+/, "")}`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    show(false, "joining");
    socket.onopen = () => {
      show(true, `on ${wanted}`);
      note("note", `joined ${wanted}`);
    };
    socket.onmessage = ({ data }) => note("in", typeof data === "string" ? `← ${data}` : `← ${data.byteLength} bytes`);
    socket.onclose = ({ code, reason }) => {
      socket = null;
      show(false, "not joined");
      note("note", code === 1006 ? "closed: 1006, refused or broken" : `closed: ${code} ${reason}`.trimEnd());
    };
  }

  byId("join").addEventListener("submit", (event) => {
    event.preventDefault();
    if (socket) socket.close(1000);
    else join();
  });
  byId("send").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    socket.send(text.value);
    note("out", `→ ${text.value}`);
    text.value = "";
  });
  return {
    prefill(name) {
      if (socket) return;
      // A path may contain these characters, but they mean something else in an address.
      path.value = name.replace(/[%?#\\]/g, encodeURIComponent);
      path.focus();
      path.scrollIntoView({ block: "nearest" });
    },
  };
}
