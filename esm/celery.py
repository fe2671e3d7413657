"""Celery: beat plans the ticks, workers run them. A tick that waited longer than its period is dropped."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esm.settings")

app = Celery("esm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["esm"])
