"""The only writers of this room's tables; keyword-only, `at` comes from the caller's clock.

- Asking: `commands` (one), `many` (of many plants at once), `checks` (what both are checked against), `timed` (with an
  end; `not_stopped`: its alarm), `emergency` and `orders` (one plant, many plants), `site_config`.
- The way out: `due` (messages are built), `outbox`, `claim` (the relay's lease and window), `confirms` (the broker's
  word), `late` and `anew` (their time passed), `takeover` and `draining` (another bundle), `restored` (from a backup).
- What becomes of it: `life` (the one writer of states), `voke_words`, `overdue`, `emergency_doubt`, `schedule_life`.
- Taking back: `retracting` (asked and done), `inverse` (what undoes what), `following` (until Voke has it), `undoing`
  (what they share with releases and stops).
- Proof: `verification` (rows and verdicts), `grading` (measured for thousands at once), `soc_bounds`.
- Silence: `silence` (a diagnosis is asked for), `silence_evidence`, `diagnosis`, `checking_again` (a
  person asks once more).
- Beside: `site_reports` (what Voke has of a plant), `retention`, `bulk` (many rows in one statement).
"""
