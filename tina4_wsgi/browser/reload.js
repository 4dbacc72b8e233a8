// Reloads the page when `tina4-wsgi serve --reload`, which adds this script, says that it is out of date.
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
      // Once per version: a page that comes from a cache would reload forever.
      if (newest === mine || sessionStorage.getItem(KEY) === newest) return;
      sessionStorage.setItem(KEY, newest);
      location.reload();
    };
    socket.onclose = () => setTimeout(listen, RETRY_MS);
  }
  listen();
})();
