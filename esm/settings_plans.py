"""Settings of what is read over Voke's REST; `esm.settings` takes them over."""

from esm.env import Env

_env = Env()

# How old what Voke reports of a plant may get before it is asked again; 0 = never asked. The embedded installation has
# no Voke to ask unless somebody gives it one.
SITE_REPORT_EVERY_S = _env.integer(
    "SITE_REPORT_EVERY_S",
    0 if _env.choice("ESM_MODE", "full", ("embedded", "full")) == "embedded" else 300,
    low=0,
    high=86_400,
)
SITE_REPORTS_PER_RUN = _env.integer("SITE_REPORTS_PER_RUN", 500, low=1, high=100_000)
SITE_REPORT_PACE_MS = _env.integer("SITE_REPORT_PACE_MS", 50, low=0, high=60_000)
# How long one run may take: the other slow ticks of the same worker wait for it.
SITE_REPORT_BUDGET_S = _env.integer("SITE_REPORT_BUDGET_S", 20, low=1, high=60)
# How old the last sight of a schedule that runs at Voke may get before Voke is asked for it; 0 = never.
PLAN_LOOK_S = _env.integer("PLAN_LOOK_S", min(120, SITE_REPORT_EVERY_S), low=0, high=86_400)
# How long a published site config may take until Voke reports it.
DRIFT_GRACE_S = _env.integer("DRIFT_GRACE_S", 120, low=0, high=86_400)
