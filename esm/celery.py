"""Celery: beat plans the ticks, workers run them. A tick that waited longer than its period is dropped.

Ticks that may take seconds have a queue of their own, so that no number of them keeps a due command waiting: each queue
has its own worker. One that is started without `--queues` serves both.
"""

import os

from celery import Celery
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esm.settings")

QUICK_QUEUE = "ticks"
SLOW_QUEUE = "slow-ticks"

app = Celery("esm")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Each with a key of its own: without one both would be bound to the default's, and get every tick.
app.conf.task_queues = tuple(Queue(name, routing_key=name) for name in (QUICK_QUEUE, SLOW_QUEUE))
app.conf.task_default_queue = QUICK_QUEUE
app.autodiscover_tasks(["esm"])
