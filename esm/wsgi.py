"""The synchronous Django application that the ASGI shell runs in its threads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esm.settings")
application = get_wsgi_application()
