// Tables that get all their rows again each second, and keep focus, selection and scroll position.

const MOST_BREAKS = 8;

// In a narrow column, a path breaks after a slash rather than inside a name.
function write(target, text, isPath) {
  const parts = isPath ? text.split(/(?<=\/)(?=[^/])/) : [text];
  const last = parts.splice(MOST_BREAKS).join("");
  if (last) parts.push(last);
  target.replaceChildren(...parts.flatMap((part, index) => (index ? [document.createElement("wbr"), part] : [part])));
}

export class Table {
  // cells(row) gives [class, text or {text, press, label}] for each column; key(row) tells rows apart.
  constructor(id, key, cells) {
    this.body = document.getElementById(id);
    this.empty = document.getElementById(`${id}-empty`);
    this.key = key;
    this.cells = cells;
    this.lines = new Map();
  }

  show(rows) {
    const lines = new Map();
    for (const row of rows) {
      const key = this.key(row);
      if (lines.has(key)) continue;
      const line = this.lines.get(key) ?? this.make(row);
      this.fill(line, row);
      lines.set(key, line);
    }
    for (const [key, line] of this.lines) if (!lines.has(key)) line.element.remove();
    this.lines = lines;
    this.order();
    this.body.closest(".scroll").hidden = lines.size === 0;
    if (this.empty) this.empty.hidden = lines.size > 0;
  }

  // Moving an element takes its focus away. So while one has it, rows stay where they are, and new ones go last.
  order() {
    const isInUse = this.body.contains(document.activeElement);
    let place = this.body.firstElementChild;
    for (const { element } of this.lines.values()) {
      if (element === place) place = place.nextElementSibling;
      else if (!isInUse) this.body.insertBefore(element, place);
      else if (!element.isConnected) this.body.append(element);
    }
  }

  make(row) {
    const element = document.createElement("tr");
    const line = { element, row, cells: [] };
    this.cells(row).forEach(([style, content], index) => {
      const cell = document.createElement("td");
      let target = cell;
      if (typeof content === "object") {
        target = document.createElement("button");
        target.type = "button";
        if (content.style) target.className = content.style;
        target.addEventListener("click", () => this.cells(line.row)[index][1].press());
        cell.append(target);
      } else if (/\btext\b/.test(style)) {
        target = document.createElement("span");
        target.className = "clip";
        cell.append(target);
      }
      cell.className = style;
      element.append(cell);
      line.cells.push({ cell, target });
    });
    return line;
  }

  fill(line, row) {
    line.row = row;
    this.cells(row).forEach(([style, content], index) => {
      const { cell, target } = line.cells[index];
      const text = String(typeof content === "object" ? content.text : content);
      if (target.textContent !== text) write(target, text, /\bpath\b/.test(style));
      if (cell.className !== style) cell.className = style;
      if (content.label) target.setAttribute("aria-label", content.label);
      if (/\btext\b/.test(style)) cell.title = text;
    });
  }
}
