"""Writes day plans, what carries them out, and overrides.

- Before publishing: `drafts` (made, changed, checked), `copying`, `importing` with the files of `uploads`.
- The life of a version: `publishing` (publish, replace, hand over, cancel), `finishing` (its day is over; retention).
- Carried by our dispatcher: `carried_by_us` (the due-time table and its tick), `turns` (second turns of slots),
  `runs` (the table's rows, written many at once).
- Carried by Voke: `carried_by_voke` (schedules created and cancelled), `voke_turns` (the tick over them), `told` (what
  Voke says of them), `reconcile` (what its REST shows, against what we believe), `voke_alarms`, `proof` (their slots,
  measured).
- Above the plan: `overrides`, `override_checks` (what one would meet, dry), `override_turns` (said again after a base
  mode); `standing` says what is above a plant's
  plan at an instant.
"""
