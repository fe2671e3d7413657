// The plant's chart around the moment when an alarm was raised, with its raises and clears as marks.

import { dayChart } from "./day_chart.js";

let chart = null;

/** Loads the chart of an alarm into its reserved place; null = there is none to show. */
export async function showChart(place) {
  chart?.destroy();
  chart = null;
  if (!place) return;
  try {
    const answer = await fetch(place.dataset.chart, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const data = await answer.json();
    if (!place.isConnected) return;
    place.replaceChildren();
    if (isEmpty(data)) return showText(place, place.dataset.nothing);
    chart = dayChart(place, withMarks(data, place.dataset), { height: 232, socHeight: 0 });
  } catch (error) {
    if (place.isConnected) showFailure(place, error);
  }
}

/** Nothing was measured, planned or commanded in that hour: axes alone would say that all was zero. */
function isEmpty({ actual, gaps, planned, commanded }) {
  return !actual.grid_import_kw.some((value) => value !== null) && ![gaps, planned, commanded].some((one) => one?.from?.length);
}

/** Beside the plant's own marks every raise as a line; only the newest is named, and not where the present's own time would stand on it. */
function withMarks(data, words) {
  const { alarm, ...rest } = data;
  const times = alarm.map(({ raised }) => raised);
  const newest = times.at(-1), near = (data.to - data.from) / 12;
  const isClear = newest !== undefined && Math.abs(data.now - newest) > near;
  const marks = {
    at: times,
    text: times.map((at) => (at === newest && isClear ? words.raised : "")),
    strong: times.map((at) => at === newest),
    command: times.map(() => null),
  };
  const { cleared } = alarm.at(-1) ?? { cleared: null };
  if (cleared !== null && cleared < data.to) {
    marks.at.push(cleared);
    marks.text.push(Math.abs(data.now - cleared) > near && cleared - newest > near ? words.cleared : "");
    marks.strong.push(false);
    marks.command.push(null);
  }
  for (const name of Object.keys(marks)) marks[name].push(...(rest.marks?.[name] ?? []));
  return { ...rest, marks };
}

function showText(place, text) {
  const box = document.createElement("div");
  box.className = "empty";
  const line = document.createElement("p");
  line.textContent = text;
  box.append(line);
  place.classList.add("al-quiet");
  place.replaceChildren(box);
  return box;
}

function showFailure(place, error) {
  const box = showText(place, `${place.dataset.failed} ${/^\d+$/.test(error.message) ? error.message : ""}`);
  const again = document.createElement("button");
  again.type = "button";
  again.className = "btn sm";
  again.textContent = place.dataset.again;
  again.addEventListener("click", () => {
    place.classList.remove("al-quiet");
    showChart(place);
  });
  box.append(again);
}
