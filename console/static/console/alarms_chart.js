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
    chart = dayChart(place, withMarks(data, place.dataset), { height: 232, socHeight: 0 });
  } catch (error) {
    if (place.isConnected) showFailure(place, error);
  }
}

function withMarks(data, words) {
  const { alarm, ...rest } = data;
  const marks = { at: [], text: [], strong: [], command: [] };
  alarm.forEach(({ raised, cleared }, index) => {
    const isLast = index === alarm.length - 1;
    add(marks, raised, isLast ? words.raised : "", true);
    if (cleared !== null) add(marks, cleared, isLast ? words.cleared : "", false);
  });
  return { ...rest, marks };
}
function add(marks, at, text, strong) {
  marks.at.push(at);
  marks.text.push(text);
  marks.strong.push(strong);
  marks.command.push(null);
}

function showFailure(place, error) {
  const box = document.createElement("div");
  box.className = "empty";
  const text = document.createElement("p");
  text.textContent = `${place.dataset.failed} ${/^\d+$/.test(error.message) ? error.message : ""}`;
  const again = document.createElement("button");
  again.type = "button";
  again.className = "btn sm";
  again.textContent = place.dataset.again;
  again.addEventListener("click", () => showChart(place));
  box.append(text, again);
  place.replaceChildren(box);
}
