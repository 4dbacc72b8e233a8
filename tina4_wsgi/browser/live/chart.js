// Small moving charts, each an SVG with two paths. The newest value is at the right edge.

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 120; // seconds
const HEIGHT = 30;

function shape(name, attributes) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export class Tile {
  constructor(parent, title, format) {
    this.title = title;
    this.format = format;
    this.values = [];
    const tile = document.createElement("div");
    tile.className = "tile";
    const heading = document.createElement("h2");
    heading.textContent = title;
    this.number = document.createElement("p");
    this.number.textContent = "–";
    this.most = document.createElement("p");
    this.most.className = "most";
    this.most.textContent = "\u00a0";
    this.svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.area = shape("path", { class: "area" });
    this.edge = shape("path", { class: "edge" });
    this.svg.append(this.area, this.edge);
    tile.append(heading, this.number, this.most, this.svg);
    parent.append(tile);
  }

  push(value) {
    this.values.push(value);
    if (this.values.length > WIDTH + 1) this.values.shift();
  }

  clear() {
    this.values = [];
  }

  draw() {
    const { values } = this;
    if (!values.length) return;
    const most = Math.max(1, ...values);
    const points = values.map((value, index) => {
      const x = WIDTH - (values.length - 1 - index);
      return `${x},${(HEIGHT - 1.5 - (value / most) * (HEIGHT - 4)).toFixed(2)}`;
    });
    const first = WIDTH - (values.length - 1);
    this.edge.setAttribute("d", `M${points.join("L")}`);
    this.area.setAttribute("d", `M${first},${HEIGHT}L${points.join("L")}L${WIDTH},${HEIGHT}Z`);
    this.number.textContent = this.format(values[values.length - 1]);
    const words = `at most ${this.format(Math.max(...values))}`;
    this.most.textContent = words;
    this.svg.setAttribute("aria-label", `${this.title}: ${this.number.textContent} now, ${words}`);
  }
}
