"""What rings in another process reaches the doorbell, and a bell that can't be heard is said to be so."""

import threading

import pytest
from django.db import connection

from dispatch.bell import CHANNEL
from link.doorbell import Doorbell
from link.listening import listen
from tests import factories
from tests.dispatch.helpers import ask, mode
from tests.threads import Aside, until

pytestmark = pytest.mark.django_db(transaction=True)


class Heard(Doorbell):
    """Writes down what it is told."""

    def __init__(self):
        super().__init__(frozenset, every_s=1.0)
        self.rung, self.relied = [], []

    def ring(self, connection_id):
        self.rung.append(connection_id)

    def rely(self, on_rings):
        self.relied.append(on_rings)


@pytest.fixture
def heard():
    """A doorbell that listens already."""
    bell, stop = Heard(), threading.Event()
    listener = Aside(lambda: listen(bell, stop))
    until(lambda: bell.relied == [True], "it listens")
    yield bell
    stop.set()
    assert listener.answer() is None
    assert bell.relied[-1] is False


def test_a_command_of_this_process_rings(heard):
    plant = factories.plant()

    ask(plant, mode())

    until(lambda: plant.connection_id in heard.rung, "it rings")


def sessions():
    """The server's processes that listen."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = %s",
            [f"LISTEN {CHANNEL}"],
        )
        return [pid for (pid,) in cursor.fetchall()]


def say(word):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, word])


@pytest.mark.postgresql
def test_what_another_process_says_rings_and_what_is_no_connection_does_not(heard):
    for word in ("", "-1", "7 ", "\u0667", "1" * 4400, "41"):
        say(word)

    until(lambda: heard.rung, "it rings")

    assert heard.rung == [41]


@pytest.mark.postgresql
def test_a_listener_whose_session_ends_says_that_it_is_deaf_and_listens_again(heard):
    [before] = sessions()

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [before])
    until(lambda: heard.relied == [True, False, True], "it listens again")
    say("42")

    until(lambda: 42 in heard.rung, "it rings")
    assert sessions() != [before]
