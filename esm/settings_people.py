"""Settings of signing in and of what is kept about people; `esm.settings` takes them over."""

from esm.env import Env

_env = Env()
_EMBEDDED = _env.choice("ESM_MODE", "full", ("embedded", "full")) == "embedded"

AUTH_USER_MODEL = "plants.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "console:account:login"
LOGIN_REDIRECT_URL = "console:fleet:list"

# required: who has no authenticator app sets one up before anything else. optional: who has one is asked for it.
TWO_FACTOR = _env.choice("TWO_FACTOR", "optional" if _EMBEDDED else "required", ("required", "optional"))
SESSION_ENGINE = "people.sessions"
SESSION_COOKIE_HTTPONLY = True
# A session ends after this long without a request, and after this long in any case.
SESSION_IDLE_MIN = _env.integer("SESSION_IDLE_MIN", 120, low=5, high=10_080)
SESSION_MAX_H = _env.integer("SESSION_MAX_H", 12, low=1, high=720)
SESSION_COOKIE_AGE = SESSION_MAX_H * 3600
# Wrong passwords or codes that cost nothing; then each one waits twice as long as the one before.
SIGN_IN_FREE_ATTEMPTS = _env.integer("SIGN_IN_FREE_ATTEMPTS", 5, low=1, high=100)
INVITATION_H = _env.integer("INVITATION_H", 72, low=1, high=720)
AUDIT_RETENTION_DAYS = _env.integer("AUDIT_RETENTION_DAYS", 1100, low=30, high=36_500)
