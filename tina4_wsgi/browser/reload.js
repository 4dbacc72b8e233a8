// Loads the page again when `tina4-wsgi serve --reload` says that it is out of date; only that adds it to pages.
(() => {
  const RETRY_MS = 250;
  const KEY = "tina4-reload";
  const script = new URL(document.currentScript.src);
  const mine = script.searchParams.get("version");
  const address = new URL("reload", script);
  address.protocol = address.protocol.replace("http", "ws");

  function listen() {
    const socket = new WebSocket(address);
    socket.onmessage = ({ data: newest }) => {
      // Once for each version: a page that something keeps a copy of would load for ever.
      if (newest === mine || sessionStorage.getItem(KEY) === newest) return;
      sessionStorage.setItem(KEY, newest);
      location.reload();
    };
    socket.onclose = () => setTimeout(listen, RETRY_MS);
  }
  listen();
})();
