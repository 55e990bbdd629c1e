// The element that marks an incident on the map: a link, with the shape of its grade. Built node by node, never from text.

import { stageOf } from "../queue";
import { follow } from "../state/place.svelte";
import type { Incident } from "../types";

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = [
  "M9 1h14l8 8v14l-8 8H9l-8-8V9z",
  "M16 0l16 30H0z",
  "M3 3h26v26H3z",
  "M16 2a14 14 0 100 28 14 14 0 000-28z",
];

export function incidentMark(number: number) {
  const element = document.createElement("a");
  element.href = `/incidents/${number}`;
  element.addEventListener("click", follow);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 32 38");
  svg.setAttribute("width", "30");
  svg.setAttribute("height", "36");
  svg.setAttribute("aria-hidden", "true");
  const pulse = document.createElementNS(SVG, "circle");
  pulse.setAttribute("class", "pulse");
  for (const [key, value] of Object.entries({ cx: "16", cy: "16", r: "15" })) pulse.setAttribute(key, value);
  const stem = document.createElementNS(SVG, "path");
  stem.setAttribute("class", "outline");
  stem.setAttribute("d", "M11 29h10l-5 9z");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("class", "outline");
  const text = document.createElementNS(SVG, "text");
  text.setAttribute("x", "16");
  text.setAttribute("text-anchor", "middle");
  svg.append(pulse, stem, shape, text);
  element.append(svg);

  function update(incident: Incident, title: string, chosen: boolean): void {
    const grade = Math.min(Math.max(incident.priority, 0), 3);
    const classes = ["mark", `p${grade}`, stageOf(incident), ...(chosen ? ["chosen"] : [])];
    for (const other of ["p0", "p1", "p2", "p3", "waiting", "working", "settled", "chosen"]) element.classList.remove(other);
    element.classList.add(...classes);
    element.title = title;
    element.setAttribute("aria-label", title);
    element.style.zIndex = String(10 - grade + (chosen ? 10 : 0));
    shape.setAttribute("d", SHAPES[grade] ?? "");
    text.setAttribute("y", grade === 1 ? "25" : "20");
    text.textContent = `P${incident.priority}`;
  }

  return { element, update };
}
