"""Stands for the stream of live events in a page: `tell("command", {id: 7, …})` there is what a module hears of one,
`resync(null)` that something of all topics was missed.

How events travel is tested with the streams themselves; what modules do with them needs the shape they really have.
"""

from playwright.sync_api import Page

_HEARD = """
const heard = [], resyncs = [];
export const onTopic = (topic, keys, fn) => heard.push([topic, fn]);
export const onResync = (fn) => resyncs.push(fn);
export const state = () => ({ live: true });
window.tell = (topic, data) => {
  const event = { topic, key: String(data.id ?? data.plant), at: new Date().toISOString(), data };
  for (const [name, fn] of heard) if (name === topic) fn(event);
};
window.resync = (topics) => resyncs.forEach((fn) => fn(topics));
"""


def hears_by_hand(page: Page) -> None:
    """Before the page is opened."""
    page.route("**/console/live.js", lambda route: route.fulfill(content_type="text/javascript", body=_HEARD))
