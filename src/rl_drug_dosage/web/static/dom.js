// Elements out of text, never out of markup; and requests to this page's own server.

export const $ = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

export const options = (select, rows) => select.replaceChildren(...rows.map(([value, text]) => el("option", { value }, text)));

export class Refused extends Error {
  constructor(message, field, status) {
    super(message);
    this.field = field;
    this.status = status;
  }
}

export async function ask(path, body, signal, method) {
  const send = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const verb = method || (body === undefined ? "GET" : "POST");
  let answer;
  try {
    answer = await fetch(`api/${path}`, { method: verb, signal, credentials: "omit", ...send });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("the server does not answer: was it stopped?", null, 0);
  }
  const value = await answer.json();
  if (!answer.ok) throw new Refused(value.error || `status ${answer.status}`, value.field, answer.status);
  return value;
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function percent(share) {
  if (share > 0 && share < 0.01) return "< 1 %";
  if (share > 0.99 && share < 1) return "> 99 %";
  return `${Math.round(100 * share)} %`;
}

export const short = (value) => (value === null || value === undefined ? "–" : String(Number(Number(value).toPrecision(4))));

export function table(caption, columns, rows, className, label) {
  const head = el("thead", {}, el("tr", {}, columns.map((c) => el("th", { scope: "col" }, c))));
  const body = el("tbody", {}, rows);
  const box = el("table", { class: className }, el("caption", {}, el("span", {}, caption)), head, body);
  return el("div", { class: "scroll", role: "region", "aria-label": `Table: ${label || caption}`, tabindex: "0" }, box);
}

export const head = (...content) => el("th", { scope: "row" }, ...content);
export const cell = (...content) => el("td", {}, ...content);
