// Many events, few questions: the first is answered at once, those after it together.

const TOGETHER_MS = 20; // what one transaction tells arrives within this

/** `paced(act, 500)()` runs `act` now, or when `everyMs` since its last run are over: never two side by side, and once
 *  more when it was asked for meanwhile. */
export function paced(act, everyMs) {
  let timer = 0, isBusy = false, isWanted = false, ran = -Infinity;
  async function run() {
    timer = 0;
    isBusy = true;
    isWanted = false;
    ran = performance.now();
    try {
      await act();
    } finally {
      isBusy = false;
      if (isWanted) ask();
    }
  }
  function ask() {
    if (isBusy) isWanted = true;
    else timer ||= setTimeout(run, Math.max(TOGETHER_MS, ran + everyMs - performance.now()));
  }
  return ask;
}
