"""Notes what the live page is told and how long it takes it, from inside of the browser."""

from __future__ import annotations

from typing import Any

from tests.examples.browser import Page

_SCRIPT = """
  const seen = window.seen = { tasks: [], gaps: [], heard: [] };
  new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: "longtask", buffered: true });
  let last = performance.now();
  setInterval(() => { const now = performance.now(); seen.gaps.push(now - last); last = now; }, 10);
  window.WebSocket = class extends WebSocket {
    set onmessage(handle) {
      super.onmessage = (event) => {
        const began = performance.now();
        handle(event);
        const ms = performance.now() - began;
        const { type, path, search, totals } = JSON.parse(event.data);
        const bytes = new TextEncoder().encode(event.data).length;
        seen.heard.push({ type, path, search, connections: totals?.connections, began, ms, bytes });
      };
    }
  };
"""
_ASK = """
  const [what, argument, done] = arguments, byId = (id) => document.getElementById(id);
  const from = seen.heard.length, began = performance.now();
  const isAnswer = {
    search() {
      byId("search").value = argument;
      byId("search").dispatchEvent(new Event("input"));
      return (one) => one.type === "found" && one.search === argument;
    },
    open() {
      const link = document.querySelectorAll("#paths button.link")[argument], path = link.textContent;
      link.click();
      return (one) => one.type === "found" && one.path === path;
    },
    kick() {
      document.querySelector(argument).click();
      byId("kick-form").requestSubmit();
      return (one) => one.type === "kicked";
    },
  }[what]();
  const timer = setInterval(() => {
    const answer = seen.heard.slice(from).find(isAnswer);
    if (!answer) return;
    clearInterval(timer);
    requestAnimationFrame(() => setTimeout(() => done([answer.began - began, performance.now() - began])));
  }, 1);
"""


def begin(page: Page, address: str) -> None:
    """Open a page with its sockets and its time watched."""
    page.front().execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _SCRIPT})
    page.front().get(address)


def noted(page: Page) -> dict[str, Any]:
    """Give what has been noted since the last call.

    Returns:
        `tasks` and `gaps` in ms: the browser's long tasks, and how far apart the beats of a 10 ms
        timer were; `heard`: each message with its `type`, `bytes` and `ms` of script; `elements`:
        how many the page has now.
    """
    seen: dict[str, Any] = page.front().execute_script(
        "const was = { ...seen, elements: document.querySelectorAll('*').length };"
        "seen.tasks = []; seen.gaps = []; seen.heard = []; return was;"
    )
    return seen


def ask(page: Page, what: str, argument: object) -> tuple[float, float]:
    """Do something on the page.

    Args:
        what: "search" for a text, "open" the path in a row, or "kick" by the button with a
            selector.
    Returns:
        After how many ms the answer came, and after how many it was drawn.
    """
    answered_ms, drawn_ms = page.front().execute_async_script(_ASK, what, argument)
    return answered_ms, drawn_ms
