"""Django settings: everything that differs between installations comes from the environment (see `.env.example`).

A missing or wrong value refuses to start with its name and the reason. Secrets are also read from files: `NAME_FILE`.
"""

import tempfile
from ipaddress import IPv4Address
from pathlib import Path

from esm.admin_theme import unfold_settings
from esm.env import Env, SettingError
from esm.jwt_keys import parse_jwt_keys
from esm.logs import configure_logging
from esm.settings_alarms import ALARM_FLAP_MIN, ALARM_RETENTION_DAYS  # noqa: F401 - settings of this module
from esm.settings_language import *  # noqa: F403 - settings of this module
from esm.settings_live import *  # noqa: F403 - settings of this module
from esm.settings_people import *  # noqa: F403 - settings of this module
from esm.settings_plans import (  # noqa: F401 - settings of this module
    DRIFT_GRACE_S,
    PLAN_LOOK_S,
    SITE_REPORT_BUDGET_S,
    SITE_REPORT_EVERY_S,
    SITE_REPORT_PACE_MS,
    SITE_REPORTS_PER_RUN,
)
from trading_api.mapping import parse_result_codes, parse_wire_names

BASE_DIR = Path(__file__).resolve().parent.parent
_env = Env()

# --- how it runs -------------------------------------------------------------------------------------------------
ESM_MODE = _env.choice("ESM_MODE", "full", ("embedded", "full"))
EMBEDDED = ESM_MODE == "embedded"
DEBUG = _env.boolean("DEBUG", False)
SECRET_KEY = _env.text("DJANGO_SECRET_KEY")
if len(SECRET_KEY) < 50:
    raise SettingError("DJANGO_SECRET_KEY", "must have at least 50 characters")
ALLOWED_HOSTS = _env.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]") if EMBEDDED else ())
if not ALLOWED_HOSTS:
    raise SettingError(
        "ALLOWED_HOSTS", "is required: the host names that people and Voke use, comma-separated"
    )
CSRF_TRUSTED_ORIGINS = _env.words("CSRF_TRUSTED_ORIGINS")
PRODUCT_NAME = _env.text("PRODUCT_NAME", "Busbar")

INSTALLED_APPS = [
    "esm",
    "unfold",
    "unfold.contrib.filters",
    "esm.admin_app.AdminPagesConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "plants",
    "people",
    "metering",
    "dispatch",
    "schedules",
    "link",
    "trading_api",
    "watch",
    "console",
]
MIDDLEWARE = [
    "esm.security_headers.SecurityHeadersMiddleware",
    "esm.middleware.RequestIdMiddleware",
    "esm.metrics.MetricsMiddleware",
    "esm.health.HealthMiddleware",
    "trading_api.middleware.PullJournalMiddleware",
    "esm.error_pages.ErrorPagesMiddleware",
    "esm.middleware.ShellRefusalMiddleware",
    "trading_api.plain_list.PlainListMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "console.language.PageLanguageMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "people.middleware.SignedInMiddleware",
    "esm.middleware.AdminIsForStaffMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "esm.urls"
WSGI_APPLICATION = "esm.wsgi.application"
ASGI_APPLICATION = "esm.asgi.application"
# A POST without its slash must not be redirected (it would lose its body): the reverse channel answers both forms.
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.context.frame",
            ]
        },
    }
]

# --- database and cache ------------------------------------------------------------------------------------------
DATABASES = {
    "default": _env.database(
        "DATABASE_URL", f"sqlite:///{BASE_DIR / 'var' / 'esm.sqlite3'}" if EMBEDDED else ""
    )
}
if DATABASES["default"]["ENGINE"] == "esm.sqlite":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["OPTIONS"] |= {  # type: ignore[operator]
        "pool": {
            "min_size": 1,
            "max_size": _env.integer("DATABASE_POOL_MAX", 10, low=2, high=200),
            "timeout": 10,
            # After this many seconds of growing pauses the pool starts with short ones again: PostgreSQL that was away
            # for minutes is found within seconds of its return.
            "reconnect_timeout": 10,
        },
        "connect_timeout": 5,
        # A server that vanished without a word: no statement waits for it longer than this.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        # Compiling a plan pays for none of our statements: a claim from an outbox of 10,000 took 0.9 s instead of 0.05.
        "options": "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000 -c jit=off",
    }
DATABASES["default"]["CONN_MAX_AGE"] = 0  # > 0 under an ASGI server exhausts PostgreSQL's connections
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = "" if EMBEDDED else _env.text("REDIS_URL")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "esm"}
    if EMBEDDED
    else {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
            "serializer": "esm.cache_values.PlainValues",
        },
    }
}

# --- people: more in esm.settings_people --------------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not EMBEDDED
SECURE_HSTS_SECONDS = 0 if EMBEDDED else _env.integer("HSTS_SECONDS", 31_536_000, low=0, high=63_072_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not EMBEDDED
SECURE_SSL_REDIRECT = False if EMBEDDED else _env.boolean("SSL_REDIRECT", True)
# Health checks ask from inside; the reverse channel must answer Voke, never redirect it.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"(^|/)trading/"]
TRUSTED_PROXY_COUNT = _env.integer("TRUSTED_PROXY_COUNT", 0, low=0, high=5)
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- secrets: versioned lists, the first is used for new values --------------------------------------------------
FIELD_KEYS = _env.versioned_keys("FIELD_KEYS")
SECRET_PEPPERS = _env.versioned_keys("SECRET_PEPPERS")
JWT_KEYS = parse_jwt_keys("JWT_KEYS", _env.text("JWT_KEYS"))

# --- reverse channel ---------------------------------------------------------------------------------------------
TRADING_TOKEN_TTL_S = _env.integer("TRADING_TOKEN_TTL_S", 3600, low=60, high=86_400)
TRADING_TOKEN_ISSUER = _env.text("TRADING_TOKEN_ISSUER", "esm")
TRADING_TOKEN_AUDIENCE = _env.text("TRADING_TOKEN_AUDIENCE", "trading")
TRADING_FAILED_ATTEMPTS_PER_MINUTE = _env.integer(
    "TRADING_FAILED_ATTEMPTS_PER_MINUTE", 10, low=1, high=10_000
)
TRADING_JOURNAL_RETENTION_DAYS = _env.integer("TRADING_JOURNAL_RETENTION_DAYS", 30, low=1, high=3650)
TRADING_LIST_MAX = _env.integer("TRADING_LIST_MAX", 10_000, low=1, high=100_000)
TRADING_LIST_KEY = _env.text("TRADING_LIST_KEY", "none")
TRADING_PBAT_SIGN = _env.choice("TRADING_PBAT_SIGN", "charge", ("charge", "discharge"))
try:
    TRADING_PLANT_ID_FIELDS = parse_wire_names(
        _env.words("TRADING_PLANT_ID_FIELDS", ("plantId", "externalPlantId"))
    )
except ValueError as error:
    raise SettingError("TRADING_PLANT_ID_FIELDS", str(error)) from error
try:
    parse_wire_names([TRADING_LIST_KEY])
except ValueError as error:
    raise SettingError("TRADING_LIST_KEY", "must be none or the name of a JSON key") from error
try:
    TRADING_RESULT_CODES = parse_result_codes(_env.words("TRADING_RESULT_CODES"))
except ValueError as error:
    raise SettingError("TRADING_RESULT_CODES", str(error)) from error

# --- HTTP server: the ASGI shell and uvicorn ---------------------------------------------------------------------
HTTP_MAX_BODY_BYTES = _env.integer("HTTP_MAX_BODY_BYTES", 1_048_576, low=1024, high=67_108_864)
HTTP_BODY_TIMEOUT_S = _env.number("HTTP_BODY_TIMEOUT_S", 10.0, low=0.1, high=300.0)
HTTP_HEADER_TIMEOUT_S = _env.number("HTTP_HEADER_TIMEOUT_S", 10.0, low=0.1, high=300.0)
HTTP_SEND_TIMEOUT_S = _env.number("HTTP_SEND_TIMEOUT_S", 30.0, low=0.1, high=600.0)
HTTP_KEEP_ALIVE_S = _env.integer("HTTP_KEEP_ALIVE_S", 30, low=1, high=600)
DATA_UPLOAD_MAX_MEMORY_SIZE = HTTP_MAX_BODY_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000  # a day of five-minute slots is edited in one form
WEB_THREADS = _env.integer("WEB_THREADS", 4, low=1, high=64)
if not EMBEDDED and _env.integer("DATABASE_POOL_MAX", 10, low=2, high=200) <= WEB_THREADS:
    raise SettingError(
        "WEB_THREADS",
        "must be less than DATABASE_POOL_MAX: each thread needs a connection, and the journal one",
    )
WEB_QUEUE_MAX = _env.integer("WEB_QUEUE_MAX", 64, low=1, high=10_000)
WEB_CONNECTIONS_MAX = _env.integer("WEB_CONNECTIONS_MAX", 256, low=2, high=65_535)
WEB_GRACE_S = _env.integer("WEB_GRACE_S", 15, low=1, high=300)

# --- link to Voke ------------------------------------------------------------------------------------------------
LINK_TRANSPORT = _env.choice("LINK_TRANSPORT", "memory" if EMBEDDED else "amqps", ("memory", "amqps"))
AMQP_CA_FILE = _env.text("AMQP_CA_FILE", "")
if AMQP_CA_FILE and not Path(AMQP_CA_FILE).is_file():
    raise SettingError("AMQP_CA_FILE", "names no file")
# Brokers and REST addresses of bundles may be hosts of the own network or this machine.
CONNECT_ALLOW_PRIVATE = _env.boolean("CONNECT_ALLOW_PRIVATE", EMBEDDED)
AMQP_HEARTBEAT_S = _env.integer("AMQP_HEARTBEAT_S", 10, low=2, high=600)
AMQP_CONFIRM_TIMEOUT_S = _env.number("AMQP_CONFIRM_TIMEOUT_S", 10.0, low=0.1, high=120.0)
AMQP_PREFETCH = _env.integer("AMQP_PREFETCH", 1000, low=1, high=65_535)
INGEST_BATCH = _env.integer("INGEST_BATCH", 500, low=1, high=5000)
INGEST_FLUSH_MS = _env.integer("INGEST_FLUSH_MS", 20, low=1, high=5000)
RELAY_WINDOW = _env.integer("RELAY_WINDOW", 500, low=1, high=5000)
# Looking is half of what an idle demo costs.
RELAY_POLL_MS = _env.integer("RELAY_POLL_MS", 100 if EMBEDDED else 50, low=5, high=5000)
# How long a killed relay's successor waits. It may be shorter than AMQP_CONFIRM_TIMEOUT_S: a window's wait for confirms
# ends with the lease, and what is unconfirmed then is given up with its link.
RELAY_LEASE_S = _env.integer("RELAY_LEASE_S", 8, low=3, high=300)
LINK_RECONNECT_MAX_S = _env.number("LINK_RECONNECT_MAX_S", 10.0, low=0.1, high=300.0)
INBOX_MAX_BODY_BYTES = _env.integer("INBOX_MAX_BODY_BYTES", 1_048_576, low=1024, high=67_108_864)

# --- dispatch ----------------------------------------------------------------------------------------------------
REPLAY_MARGIN_S = _env.integer("REPLAY_MARGIN_S", 240, low=10, high=3600)
SETPOINT_DELIVER_BY_S = _env.integer("SETPOINT_DELIVER_BY_S", 900, low=1, high=86_400)
COMMAND_DELIVER_BY_S = _env.integer("COMMAND_DELIVER_BY_S", 60, low=1, high=3600)
ACK_TIMEOUT_S = _env.integer("ACK_TIMEOUT_S", 60, low=1, high=86_400)
EXECUTION_TIMEOUT_S = _env.integer("EXECUTION_TIMEOUT_S", 900, low=1, high=86_400)
# By command class, 0 = the common number above (a third of it for emergencies).
_CLASSES = ("SETPOINT", "DEVICE", "EMERGENCY", "MODE", "SCHEDULE")
ACK_TIMEOUTS_S, EXECUTION_TIMEOUTS_S = (
    {name: _env.integer(f"{what}_TIMEOUT_{name}_S", 0, low=0, high=86_400) for name in _CLASSES}
    for what in ("ACK", "EXECUTION")
)
# Verified by measurement: what is judged of a target, and how near it must be.
VERIFY_SETTLING_S = _env.integer("VERIFY_SETTLING_S", 60, low=0, high=3600)
VERIFY_LEAST_S = _env.integer("VERIFY_LEAST_S", 60, low=1, high=3600)
VERIFY_GRACE_S = _env.integer("VERIFY_GRACE_S", 90, low=0, high=3600)
VERIFY_LATE_H = _env.integer("VERIFY_LATE_H", 24, low=0, high=168)
VERIFY_TOLERANCE_KW = _env.number("VERIFY_TOLERANCE_KW", 0.5, low=0.0, high=10_000.0)
VERIFY_TOLERANCE_PCT = _env.number("VERIFY_TOLERANCE_PCT", 5.0, low=0.0, high=100.0)
VERIFY_COVERAGE_PCT = _env.number("VERIFY_COVERAGE_PCT", 50.0, low=1.0, high=100.0)
# Silence: how long it may be too early to tell, and how often Voke's command log is looked at for one command.
DIAGNOSIS_PATIENCE_S = _env.integer("DIAGNOSIS_PATIENCE_S", 120, low=0, high=3600)
DIAGNOSIS_LOOKS = _env.integer("DIAGNOSIS_LOOKS", 3, low=1, high=20)
DIAGNOSIS_LOOK_AGAIN_S = _env.integer("DIAGNOSIS_LOOK_AGAIN_S", 30, low=1, high=3600)
DIAGNOSIS_REST_TIMEOUT_S = _env.number("DIAGNOSIS_REST_TIMEOUT_S", 5.0, low=0.1, high=30.0)
# A connection that was taken over is retired when what it sent is answered and executed and its queues are read to the
# end, after TAKEOVER_DRAIN_S at the earliest and TAKEOVER_GRACE_S at the latest.
TAKEOVER_GRACE_S = _env.integer("TAKEOVER_GRACE_S", 86_400, low=60, high=30 * 86_400)
TAKEOVER_DRAIN_S = _env.integer("TAKEOVER_DRAIN_S", min(120, TAKEOVER_GRACE_S), low=5, high=86_400)
if TAKEOVER_DRAIN_S > TAKEOVER_GRACE_S:
    raise SettingError("TAKEOVER_DRAIN_S", "must not exceed TAKEOVER_GRACE_S")
EMERGENCY_REISSUE_S = _env.integer("EMERGENCY_REISSUE_S", 15, low=1, high=600)
SIGN_EMERGENCY = _env.boolean("SIGN_EMERGENCY", True)
EMERGENCY_SCOPE = _env.text("EMERGENCY_SCOPE", "vcp:write:setpoint")

# --- day plans and overrides -------------------------------------------------------------------------------------
SLOT_LEAD_S = _env.integer("SLOT_LEAD_S", 20, low=0, high=240)
SLOT_OVERLAP_S = _env.integer("SLOT_OVERLAP_S", 30, low=0, high=240)
SLOT_RETRY_S = _env.integer("SLOT_RETRY_S", 10, low=1, high=300)
SLOT_MOST_TURNS = _env.integer("SLOT_MOST_TURNS", 5, low=1, high=100)
OVERRIDE_MAX_H = _env.integer("OVERRIDE_MAX_H", 24, low=1, high=168)
# A device command with an end: how long it may last, and its stop when that came to nothing.
TIMED_MAX_H = _env.integer("TIMED_MAX_H", 24, low=1, high=168)
TIMED_STOP_RETRY_S = _env.integer("TIMED_STOP_RETRY_S", 5, low=1, high=60)
TIMED_STOP_ATTEMPTS = _env.integer("TIMED_STOP_ATTEMPTS", 30, low=1, high=1000)

# --- how long data is kept ---------------------------------------------------------------------------------------
TELEMETRY_RETENTION_DAYS = _env.integer("TELEMETRY_RETENTION_DAYS", 400, low=2, high=36_500)
INBOX_RETENTION_DAYS = _env.integer("INBOX_RETENTION_DAYS", 7, low=7, high=3650)
ROLLUP_RETENTION_DAYS = _env.integer(
    "ROLLUP_RETENTION_DAYS", max(1100, TELEMETRY_RETENTION_DAYS), low=2, high=36_500
)
if ROLLUP_RETENTION_DAYS < TELEMETRY_RETENTION_DAYS:
    raise SettingError("ROLLUP_RETENTION_DAYS", "must not be less than TELEMETRY_RETENTION_DAYS")
COMMAND_RETENTION_DAYS = _env.integer("COMMAND_RETENTION_DAYS", 400, low=7, high=36_500)
PLAN_RETENTION_DAYS = _env.integer("PLAN_RETENTION_DAYS", 400, low=7, high=36_500)
GAP_GIVE_UP_DAYS = _env.integer("GAP_GIVE_UP_DAYS", 30, low=1, high=3650)
QUARANTINE_PER_PLANT = _env.integer("QUARANTINE_PER_PLANT", 1000, low=1, high=10_000)

# --- metering: what streams are expected to do, and when their rollups are made ------------------------------------
REALTIME_PERIOD_S = _env.number("REALTIME_PERIOD_S", 10.0, low=1.0, high=900.0)
METER_PERIOD_S = _env.number("METER_PERIOD_S", 60.0, low=1.0, high=3600.0)
ROLLUP_GRACE_S = _env.number("ROLLUP_GRACE_S", 60.0, low=0.0, high=3600.0)
ROLLUP_CHUNK = _env.integer("ROLLUP_CHUNK", 100 if EMBEDDED else 1000, low=1, high=20_000)
ROLLUP_BUDGET_S = _env.number("ROLLUP_BUDGET_S", 2.0, low=0.5, high=300.0)
# Of a plant whose own powers are not known; and how long a hole may be for registers to go on over it.
METER_POWER_MAX_KW = _env.number("METER_POWER_MAX_KW", 1000.0, low=1.0, high=10_000_000.0)
METER_BRIDGE_DAYS = _env.integer("METER_BRIDGE_DAYS", 35, low=1, high=400)

# --- watch: dead-man alarms and who is told ------------------------------------------------------------------------
WATCH_NO_ACK_COUNT = _env.integer("WATCH_NO_ACK_COUNT", 3, low=1, high=1000)
WATCH_NO_ACK_MIN = _env.integer("WATCH_NO_ACK_MIN", 15, low=0, high=1440)
WATCH_NO_PULL_MIN = _env.integer("WATCH_NO_PULL_MIN", 120, low=0, high=10_080)
WATCH_FIRST_PULL_MIN = _env.integer("WATCH_FIRST_PULL_MIN", 1440, low=0, high=43_200)
WATCH_NO_METER_MIN = _env.integer("WATCH_NO_METER_MIN", 15, low=0, high=1440)
WATCH_LINK_GRACE_S = _env.integer("WATCH_LINK_GRACE_S", 120, low=0, high=3600)
WATCH_DEAD_LETTERS_MAX = _env.integer("WATCH_DEAD_LETTERS_MAX", 10, low=1, high=100_000)
WATCH_DEAD_LETTERS_MIN = _env.integer("WATCH_DEAD_LETTERS_MIN", 10, low=0, high=1440)
WATCH_CLOCK_SKEW_S = _env.integer("WATCH_CLOCK_SKEW_S", 30, low=0, high=300)
WATCH_OUTBOX_AGE_S = _env.integer("WATCH_OUTBOX_AGE_S", 60, low=0, high=3600)
WATCH_CLEAR_AFTER_S = _env.integer("WATCH_CLEAR_AFTER_S", 60, low=15, high=3600)
NOTIFY_ALLOW_HTTP = _env.boolean("NOTIFY_ALLOW_HTTP", False)
NOTIFY_ALLOW_PRIVATE = _env.boolean("NOTIFY_ALLOW_PRIVATE", False)
NOTIFY_TIMEOUT_S = _env.number("NOTIFY_TIMEOUT_S", 10.0, low=0.5, high=60.0)
NOTIFY_RETENTION_DAYS = _env.integer("NOTIFY_RETENTION_DAYS", 90, low=1, high=3650)
EMAIL_HOST = _env.text("EMAIL_HOST", "")
EMAIL_SECURITY = _env.choice("EMAIL_SECURITY", "starttls", ("starttls", "tls", "none"))
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_SECURITY == "starttls", EMAIL_SECURITY == "tls"
EMAIL_PORT = _env.integer("EMAIL_PORT", 465 if EMAIL_USE_SSL else 587, low=1, high=65_535)
EMAIL_HOST_USER = _env.text("EMAIL_USER", "")
EMAIL_HOST_PASSWORD = _env.text("EMAIL_PASSWORD", "")
EMAIL_TIMEOUT = NOTIFY_TIMEOUT_S
DEFAULT_FROM_EMAIL = SERVER_EMAIL = _env.text("EMAIL_FROM", "")
if EMAIL_HOST and "@" not in DEFAULT_FROM_EMAIL:
    raise SettingError("EMAIL_FROM", "is required with EMAIL_HOST: the address that messages come from")
if bool(EMAIL_HOST_USER) != bool(EMAIL_HOST_PASSWORD):
    raise SettingError("EMAIL_PASSWORD", "set EMAIL_USER and EMAIL_PASSWORD together, or neither")
if EMAIL_HOST_USER and EMAIL_SECURITY == "none":
    raise SettingError(
        "EMAIL_SECURITY", "none would send the password in clear text: unset EMAIL_USER, or use tls"
    )

# --- language, static files --------------------------------------------------------------------------------------
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Embedded serves straight from the packages; a full installation runs `manage.py collectstatic` first.
STATIC_ROOT = None if EMBEDDED else Path(_env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
WHITENOISE_USE_FINDERS = EMBEDDED

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "esm.errors.api_exception_handler",
    "UNAUTHENTICATED_USER": None,
    "LIST_SERIALIZER_ERRORS_AS_DICT": True,
}

# --- Celery: ticks only; every tick is idempotent and takes an advisory lock ---------------------------------------
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "visibility_timeout": 600,
}
CELERY_TASK_TIME_LIMIT = 120
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

PULSE_DIR = _env.text("PULSE_DIR", str(Path(tempfile.gettempdir()) / "esm-pulse"))

# --- metrics: open only behind a token, or on a port of their own ---------------------------------------------------
METRICS_TOKEN = _env.text("METRICS_TOKEN", "")
if METRICS_TOKEN and len(METRICS_TOKEN) < 32:
    raise SettingError("METRICS_TOKEN", "must have at least 32 characters")
METRICS_PORT = _env.integer("METRICS_PORT", 0, low=0, high=65_535)
METRICS_HOST = _env.text("METRICS_HOST", "127.0.0.1")
try:
    IPv4Address(METRICS_HOST)
except ValueError as error:
    raise SettingError("METRICS_HOST", "must be an IPv4 address of this machine, or 0.0.0.0") from error

LOG_FORMAT = _env.choice("LOG_FORMAT", "console" if EMBEDDED else "json", ("console", "json"))
LOG_LEVEL = _env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING_CONFIG = None
configure_logging(level=LOG_LEVEL, fmt=LOG_FORMAT)

UNFOLD = unfold_settings(PRODUCT_NAME)
