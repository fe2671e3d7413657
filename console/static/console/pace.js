// Many events, few questions: the first is answered at once, those after it together.

const TOGETHER_MS = 20; // what one transaction tells arrives within this
const AGAIN_MS = 2000, AGAIN_AT_MOST_MS = 30_000, AGAIN_TIMES = 8;

/** `paced(act, 500)()` runs `act` now, or when `everyMs` since its last run are over: never two side by side, and once
 *  more when it was asked for meanwhile. An `act` that answers false did not work: it runs again by itself, after 2 s,
 *  then each time after twice as long, and sooner when it is asked for. */
export function paced(act, everyMs) {
  let timer = 0, isBusy = false, isWanted = false, ran = -Infinity, failed = 0;
  async function run() {
    timer = 0;
    isBusy = true;
    isWanted = false;
    ran = performance.now();
    let worked = true;
    try {
      worked = (await act()) !== false;
    } finally {
      isBusy = false;
      failed = worked ? 0 : failed + 1;
      if (isWanted) ask();
      else if (failed > 0 && failed <= AGAIN_TIMES) timer = setTimeout(run, wait());
    }
  }
  const wait = () => Math.min(AGAIN_AT_MOST_MS, AGAIN_MS * 2 ** (failed - 1)) * (0.75 + Math.random() / 2);
  function ask() {
    if (isBusy) {
      isWanted = true;
      return;
    }
    if (timer && failed === 0) return;
    clearTimeout(timer);
    timer = setTimeout(run, Math.max(TOGETHER_MS, ran + everyMs - performance.now()));
  }
  return ask;
}
