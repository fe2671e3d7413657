"""Writes what concerns people: `at` is the instant of the act.

`acts` who does something, `audit` what was done, `factors` second factors and recovery codes, `links` invitations and
new passwords by link, `members` roles and who may sign in, `passwords` a person's own, `retention` what is dropped,
`sessions` ends them, `sign_in` lets people in, `theme` how pages look, `throttle` slows guessing down.
"""
