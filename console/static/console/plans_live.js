// States of the slots as they come: a word about this plant's plan or commands asks the server, at most twice a second.

import { onResync, onTopic } from "./live.js";
import { paced } from "./pace.js";
import { fetched } from "./renew.js";
import { setText } from "./words.js";

const LOOK_EVERY_MS = 500;

export function follow(doc, model, chart, tables, { onMark }) {
  const soon = paced(look, LOOK_EVERY_MS);

  async function look() {
    const version = doc.published?.id ?? "";
    const text = await fetched(`${doc.urls.state}?version=${model.editable ? version : (doc.version?.id ?? version)}`);
    if (!text) return text;
    const answer = JSON.parse(text);
    if (answer.outcomes && doc.outcomes) chart.show({ outcomes: answer.outcomes });
    model.lock(answer.locked, null);
    tables.show();
    counts(answer.counts);
    onMark(answer.mark);
    const other = document.getElementById("newer-version");
    if (other) other.hidden = (answer.published ?? null) === (doc.published?.state === "PUBLISHED" ? doc.published.id : null);
    return true;
  }

  function counts(found) {
    const place = document.getElementById("plan-counts");
    if (!place) return;
    place.replaceChildren(...found.map((one) => {
      const chip = document.createElement("span");
      chip.className = `chip ${one.family}`;
      setText(chip, `${one.word} ${one.slots}`);
      return chip;
    }));
  }

  const here = [`p${doc.plant.id}`];
  onTopic("plan", here, soon);
  onTopic("command", here, soon);
  onResync(soon);
}
