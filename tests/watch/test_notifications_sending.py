"""Sending: what arrives, what is tried again, and what becomes of a message that nobody takes."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database

from esm import clock
from plants.models import Alarm
from tests import factories
from tests.factories import AT
from tests.services.proc import free_port
from tests.watch.channels import OPTIONS, PRODUCT, alarm, channel
from tests.watch.receivers import MailSink, WebReceiver
from watch.models import Notification, NotificationChannel
from watch.services.notify import notify
from watch.services.sending import ATTEMPTS, PAUSES_S, prune_notifications, send_due, send_test
from watch.services.telling import tell

pytestmark = pytest.mark.django_db


def minutes(count):
    return timedelta(minutes=count)


# --- sending ----------------------------------------------------------------------------------------------------------


def states():
    return list(Notification.objects.order_by("pk").values_list("state", "attempts", "error_code"))


def test_an_alarm_reaches_a_receiver_with_everything_it_needs():
    plant = factories.plant()
    with WebReceiver() as receiver:
        channel(url=receiver.url)
        alarm(plant)
        notify(at=AT, product=PRODUCT, options=OPTIONS)

    ((headers, body),) = receiver.requests
    row = Notification.objects.get()
    assert headers["X-Notification-Id"] == str(row.uid)
    assert json.loads(body) == {
        "id": str(row.uid),
        "product": "Busbar",
        "state": "RAISED",
        "severity": "ERROR",
        "code": "NO_ACK",
        "message": "nobody answers",
        "origin": "PLATFORM",
        "alarmId": "a1",
        "organisation": plant.organisation.slug,
        "connection": plant.connection.name,
        "plant": {"externalPlantId": plant.external_plant_id, "name": plant.name},
        "raisedAt": "2026-01-02T03:00:00.000Z",
        "clearedAt": None,
    }
    assert (row.state, row.attempts, row.claimed_until) == ("SENT", 1, None)


def test_a_message_is_tried_again_after_growing_pauses_with_the_same_id_and_bytes():
    with WebReceiver(500, 503) as receiver:
        channel(url=receiver.url)
        alarm(factories.plant())
        notify(at=AT, product=PRODUCT, options=OPTIONS)
        row = Notification.objects.get()
        early = send_due(at=row.next_at - timedelta(seconds=1), options=OPTIONS, budget_s=20)
        send_due(at=row.next_at, options=OPTIONS, budget_s=20)
        second = Notification.objects.get()
        send_due(at=second.next_at, options=OPTIONS, budget_s=20)

    assert (row.state, row.error_code, row.last_error) == ("PENDING", "HTTP_500", "localhost answered 500")
    assert early == 0
    assert (
        (second.next_at - row.next_at).total_seconds() > (row.next_at - AT).total_seconds() > PAUSES_S[0] / 2
    )
    assert states() == [("SENT", 3, "")]
    assert len({headers["X-Notification-Id"] for headers, _ in receiver.requests}) == 1
    assert len({body for _, body in receiver.requests}) == 1


def test_after_its_last_attempt_a_message_has_failed_and_stays_visible():
    channel(url=f"http://localhost:{free_port()}/")
    alarm(factories.plant())
    notify(at=AT, product=PRODUCT, options=OPTIONS)
    for _ in range(ATTEMPTS):
        row = Notification.objects.get()
        if row.next_at is not None:
            send_due(at=row.next_at, options=OPTIONS, budget_s=20)

    assert states() == [("FAILED", ATTEMPTS, "UNREACHABLE")]


def test_what_can_never_be_taken_fails_at_once():
    with WebReceiver(410) as receiver:
        channel(url=receiver.url)
        alarm(factories.plant())
        notify(at=AT, product=PRODUCT, options=OPTIONS)

    assert states() == [("FAILED", 1, "HTTP_410")]


def test_a_channel_that_is_switched_off_meanwhile_is_not_written_to():
    with WebReceiver() as receiver:
        row = channel(url=receiver.url)
        alarm(factories.plant())
        tell(at=AT, product=PRODUCT)
        NotificationChannel.objects.filter(pk=row.pk).update(enabled=False)
        send_due(at=AT, options=OPTIONS, budget_s=20)

    assert (receiver.requests, states()) == ([], [("FAILED", 1, "CHANNEL_OFF")])


def test_one_message_whose_channel_is_broken_keeps_no_other_from_leaving():
    plant = factories.plant()
    with WebReceiver() as receiver:
        channel("broken", url=f"http://localhost:{free_port()}/")
        channel("fine", url=receiver.url)
        alarm(plant)
        tried = notify(at=AT, product=PRODUCT, options=OPTIONS)

    assert (tried, len(receiver.requests)) == (2, 1)


def test_a_message_that_a_dead_sender_claimed_is_sent_when_the_claim_has_run_out():
    with WebReceiver() as receiver:
        channel(url=receiver.url)
        alarm(factories.plant())
        tell(at=AT, product=PRODUCT)
        Notification.objects.update(claimed_until=AT + minutes(3), attempts=1)
        within = send_due(at=AT + minutes(2), options=OPTIONS, budget_s=20)
        after = send_due(at=AT + minutes(3), options=OPTIONS, budget_s=20)

    assert (within, after, states()) == (0, 1, [("SENT", 2, "")])


def test_a_message_that_ends_every_sender_has_an_end_itself():
    with WebReceiver() as receiver:
        channel(url=receiver.url)
        alarm(factories.plant())
        tell(at=AT, product=PRODUCT)
        Notification.objects.update(claimed_until=AT, attempts=ATTEMPTS)
        send_due(at=AT, options=OPTIONS, budget_s=20)

    assert (receiver.requests, states()) == ([], [("FAILED", ATTEMPTS + 1, "SENDER_LOST")])


def test_nothing_is_sent_within_a_transaction(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "watch.services.sending.SENDERS",
        {"WEBHOOK": lambda *_: seen.append(len(database.savepoint_ids)) or 200},
    )
    channel()
    alarm(factories.plant())
    before = len(database.savepoint_ids)

    notify(at=AT, product=PRODUCT, options=OPTIONS)

    assert seen == [before]


def test_when_the_time_is_used_up_the_rest_waits_for_the_next_turn():
    plant = factories.plant()
    channel(quiet_s=0)
    alarm(plant)
    tell(at=AT, product=PRODUCT)

    assert send_due(at=AT, options=OPTIONS, budget_s=0) == 0
    assert states() == [("PENDING", 0, "")]


def test_old_messages_are_forgotten_and_young_ones_kept():
    plant = factories.plant()
    channel(quiet_s=0)
    alarm(plant)
    tell(at=AT, product=PRODUCT)

    assert prune_notifications(at=AT + timedelta(days=90), keep_days=90) == 0
    assert prune_notifications(at=AT + timedelta(days=91), keep_days=90) == 1
    assert Alarm.objects.exists()


# --- mail -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def post_office(settings):
    def at_port(port):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.DEFAULT_FROM_EMAIL = "esm@example.com"

    return at_port


def mail_channel(**changes):
    return channel(kind="EMAIL", url="", secret="", addresses="ops@example.com, night@example.com", **changes)


def test_a_mail_goes_to_every_address_and_says_what_happened_where(post_office):
    plant = factories.plant(name="Depot Žižkov")
    mail_channel()
    alarm(plant)
    with MailSink() as sink:
        post_office(sink.port)
        notify(at=AT, product=PRODUCT, options=OPTIONS)

    ((recipients, mail),) = sink.mails
    assert recipients == ["ops@example.com", "night@example.com"]
    assert mail["Subject"] == "[ERROR] NO_ACK Depot Žižkov"
    assert mail["From"] == "esm@example.com"
    text = mail.get_content()
    assert "nobody answers" in text
    assert f"Plant: Depot Žižkov ({plant.external_plant_id})" in text
    assert str(Notification.objects.get().uid) in mail["Message-ID"]


def test_the_name_of_a_plant_ends_no_header(post_office):
    plant = factories.plant()
    type(plant).objects.filter(pk=plant.pk).update(name="Depot\r\nBcc: thief@example.com\r\n\r\nhello")
    mail_channel()
    alarm(plant)
    with MailSink() as sink:
        post_office(sink.port)
        notify(at=AT, product=PRODUCT, options=OPTIONS)

    ((recipients, mail),) = sink.mails
    assert recipients == ["ops@example.com", "night@example.com"]
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[ERROR] NO_ACK Depot Bcc: thief@example.com hello"


def test_what_was_held_back_stands_in_the_mail(post_office):
    plant = factories.plant()
    mail_channel()
    for number in range(3):
        alarm(plant, alarm_id=f"a{number}", message=f"matter {number}")
    with MailSink() as sink:
        post_office(sink.port)
        notify(at=AT, product=PRODUCT, options=OPTIONS)

    ((_, mail),) = sink.mails
    assert mail["Subject"] == f"[ERROR] NO_ACK {plant.name} (and 2 more)"
    assert "Held back before this message: 2, the newest of them:" in mail.get_content()
    assert "matter 0" in mail.get_content()


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [("550 no such person", "FAILED", "MAIL_ADDRESSES"), ("451 later", "PENDING", "MAIL_ADDRESSES")],
)
def test_a_mail_server_that_refuses_the_addresses_for_good_ends_the_message(post_office, answer, state, code):
    mail_channel()
    alarm(factories.plant())
    with MailSink(refuse=answer) as sink:
        post_office(sink.port)
        notify(at=AT, product=PRODUCT, options=OPTIONS)

    assert states() == [(state, 1, code)]


def test_an_address_that_the_server_refuses_among_others_is_told_and_the_others_are_not_mailed_twice(
    post_office,
):
    mail_channel()
    alarm(factories.plant())
    with MailSink(refuse="550 no such person", refused="night@example.com") as sink:
        post_office(sink.port)
        notify(at=AT, product=PRODUCT, options=OPTIONS)
        notify(at=AT + timedelta(hours=1), product=PRODUCT, options=OPTIONS)

    assert [recipients for recipients, _ in sink.mails] == [["ops@example.com"]]
    assert states() == [("FAILED", 1, "MAIL_SOME_ADDRESSES")]
    assert "refused 1 of 2 addresses" in Notification.objects.get().last_error


def test_without_a_mail_server_the_message_says_which_setting_is_missing(settings):
    settings.EMAIL_HOST = ""
    mail_channel()
    alarm(factories.plant())
    notify(at=AT, product=PRODUCT, options=OPTIONS)

    row = Notification.objects.get()
    assert (row.state, row.last_error) == ("PENDING", "no mail server is set up (EMAIL_HOST)")


# --- tests of a channel -----------------------------------------------------------------------------------------------


def test_a_test_goes_out_whatever_the_limits_and_uses_none_of_them_up():
    with WebReceiver() as receiver:
        row = channel(url=receiver.url, max_per_hour=1, enabled=False)
        attempt = send_test(channel=row, at=AT, product=PRODUCT, options=OPTIONS)
        NotificationChannel.objects.update(enabled=True)
        alarm(factories.plant())
        notify(at=AT, product=PRODUCT, options=OPTIONS)

    assert attempt.error is None
    assert [json.loads(body)["state"] for _, body in receiver.requests] == ["TEST", "RAISED"]


def test_a_test_that_fails_is_tried_once_and_says_why():
    attempt = send_test(
        channel=channel(url=f"http://localhost:{free_port()}/"), at=AT, product=PRODUCT, options=OPTIONS
    )

    assert attempt.error is not None
    assert states() == [("FAILED", 1, "UNREACHABLE")]


def test_the_command_sends_a_test_and_says_what_became_of_it(settings, capsys):
    settings.NOTIFY_ALLOW_HTTP = settings.NOTIFY_ALLOW_PRIVATE = True
    with WebReceiver() as receiver, clock.frozen(AT):
        channel(url=receiver.url)
        call_command("notify_test", "ops")
    said = capsys.readouterr().out

    assert len(receiver.requests) == 1
    assert said.startswith("ops: taken")
    with pytest.raises(CommandError, match="no channel has the name 'nobody'"):
        call_command("notify_test", "nobody")
    with pytest.raises(CommandError, match="UNREACHABLE"):
        NotificationChannel.objects.update(url=f"http://localhost:{free_port()}/")
        call_command("notify_test", "ops")
