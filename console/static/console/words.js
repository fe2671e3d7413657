// Numbers, directions and ages as pages show them: the same rules as console/words.py and plants/words.py.

const NARROW = "\u202f";
const IDLE_BELOW_KW = 0.5;
// What console/texts.py has of the page's language: a text by its English one, or its plural forms by a count of each.
const TEXTS = JSON.parse(document.getElementById("texts")?.textContent || "{}");
const LANGUAGE = document.documentElement.lang || "en";
const counting = new Intl.PluralRules(LANGUAGE);
const POINT = new Intl.NumberFormat(LANGUAGE).formatToParts(0.5).find(({ type }) => type === "decimal").value;

/** The text in the page's language, with `values` at its {names}. */
export const t = (text, values) => filled(TEXTS[text] ?? text, values);

/** As `t`, for a count: "{n} slot", "{n} slots". */
export function tn(one, many, n, values) {
  const forms = TEXTS[one];
  const like = forms && Object.keys(forms).find((count) => counting.select(Number(count)) === counting.select(n));
  return filled(like ? forms[like] : n === 1 ? one : many, { n, ...values });
}

function filled(text, values) {
  return values ? text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole) : text;
}

/** As Python rounds: what lies in the middle goes to the even neighbour, so that 64.5 is "64" wherever it stands. */
export function fixed(value, places = 0) {
  const isMiddle = Math.abs(value * 2 ** (places + 1)) % 2 === 1;
  if (!isMiddle) return value.toFixed(places);
  const below = Math.floor(value * 10 ** places);
  return ((below % 2 === 0 ? below : below + 1) / 10 ** places).toFixed(places);
}

/** A number with so many places, as the page's language writes it; without `places` as many as it has. */
export const decimal = (value, places) => (places === undefined ? String(value) : fixed(value, places)).replace(".", POINT);

/** [number, unit] of an amount without its direction: one decimal below ten, MW with two from a thousand on. */
export function amount(value, unit = "kW") {
  const size = Math.abs(value);
  if (size >= 999.5 && unit.startsWith("k")) return [decimal(size / 1000, 2), "M" + unit.slice(1)];
  return [decimal(size, size >= 0.05 && size < 9.95 ? 1 : 0), unit];
}

/** "275 kW" as text. */
export function powerText(kw, unit = "kW") {
  return kw === null || kw === undefined ? t("No data") : amount(kw, unit).join(NARROW);
}

/** Puts an amount into an element as the server would: number, and its unit set back; touches only what changed. */
export function showPower(element, kw, unit = "kW") {
  if (kw === null || kw === undefined) return setText(element, t("No data"));
  const [number, word] = amount(kw, unit);
  if (element.firstChild?.nodeType === Node.TEXT_NODE && element.querySelector(".u")) {
    if (element.firstChild.data !== number) element.firstChild.data = number;
    setText(element.querySelector(".u"), word);
    return;
  }
  const unitElement = document.createElement("span");
  unitElement.className = "u";
  unitElement.textContent = word;
  element.replaceChildren(number, unitElement);
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const directed = (kw, positive, negative) =>
  kw === null || kw === undefined ? "" : Math.abs(kw) < IDLE_BELOW_KW ? t("Idle") : kw > 0 ? positive : negative;
export const gridWord = (kw) => directed(kw, t("Importing"), t("Exporting"));
export const batteryWord = (kw) => directed(kw, t("Charging"), t("Discharging"));

/** An age in whole units: "8 s", "14 min", "3 h 5 min", "2 d 4 h". */
export function ageText(seconds) {
  const s = Math.max(0, Math.floor(seconds)), m = Math.floor(s / 60), h = Math.floor(s / 3600), d = Math.floor(s / 86400);
  if (s < 60) return `${s}${NARROW}s`;
  if (m < 60) return `${m}${NARROW}min`;
  if (h < 48) return m % 60 ? `${h}${NARROW}h ${m % 60}${NARROW}min` : `${h}${NARROW}h`;
  return h % 24 && d < 14 ? `${d}${NARROW}d ${h % 24}${NARROW}h` : `${d}${NARROW}d`;
}

/** What is left until then: mm:ss below an hour, else "2 h 05 min". */
export function countdownText(seconds) {
  const s = Math.max(0, Math.ceil(seconds)), two = (n) => String(n).padStart(2, "0");
  if (s < 3600) return `${two(Math.floor(s / 60))}:${two(s % 60)}`;
  return `${Math.floor(s / 3600)}${NARROW}h ${two(Math.floor((s % 3600) / 60))}${NARROW}min`;
}

// The server's clock: what the page says it was, plus what passed here since.
const pageMade = Number(document.body?.dataset.now ?? 0);
const since = performance.now();
/** Milliseconds since 1970 by the server's clock. */
export const serverNow = () => (pageMade ? pageMade + (performance.now() - since) : Date.now());

/** Says something to assistive technology. */
export function say(text) {
  const place = document.getElementById("say");
  if (place) place.textContent = text;
}

/** A short notice; `undo` only for what is local and can be taken back. Goes after 6 s, never under the pointer. */
export function toast(text, undo) {
  document.querySelector(".toast")?.remove();
  const box = document.createElement("div");
  box.className = "toast";
  box.setAttribute("role", "status");
  box.append(text);
  if (undo) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = t("Undo");
    button.addEventListener("click", () => { box.remove(); undo(); });
    box.append(button);
  }
  document.body.append(box);
  const leave = () => (box.matches(":hover, :focus-within") ? setTimeout(leave, 1000) : box.remove());
  setTimeout(leave, 6000);
}

/** The colour of a token in the present theme: token("--exp"). */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
