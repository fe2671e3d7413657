// The proof beside a command: the plant's day chart on a short span. It is fetched after the page has been drawn.

import { dayChart } from "./day_chart.js";
import { t } from "./words.js";

let drawn = null;

/** Draw the chart into its place, once; `again`: with what has come since. */
export async function proofChart(place, { again = false } = {}) {
  if (!place || (place.dataset.drawn && !again)) return;
  place.dataset.drawn = "yes";
  const address = `${place.dataset.src}?width=${place.clientWidth || 320}`;
  let data = null;
  try {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (answer.ok) data = await answer.json();
  } catch {
    data = null; // said below
  }
  if (!place.isConnected) return;
  if (data === null) return failed(place);
  data.marks.from ??= data.marks.at; // a mark is a moment
  if (data.judged) {
    data.overrides = { from: [data.judged.from], to: [data.judged.to], text: [data.judged.text] };
  } else {
    data.overrides = { from: [], to: [], text: [] };
  }
  if (drawn?.place === place && place.childElementCount) {
    drawn.chart.replace(data);
    return;
  }
  drawn?.chart.destroy();
  place.replaceChildren();
  const open = (id) => { location.href = `${place.dataset.open}${id}/`; };
  drawn = { place, chart: dayChart(place, data, { height: 176, socHeight: 0, open }) };
}

/** Old data stays; without any, the place says why it is empty and offers another try. */
function failed(place) {
  if (place.childElementCount) return;
  const said = document.createElement("p");
  said.className = "dim";
  said.textContent = t("The chart could not be loaded.");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn sm";
  button.textContent = t("Try again");
  button.addEventListener("click", () => {
    place.replaceChildren();
    proofChart(place, { again: true });
  });
  place.append(said, button);
}
