"""Telling people: who hears of what, how much of it, and what becomes of a message that nobody takes."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.db import transaction

from esm import clock
from plants.models import Alarm, AlarmChange
from plants.services.alarms import AlarmWord, apply_alarms, clear_platform_alarm, raise_platform_alarm
from tests import factories
from tests.factories import AT
from tests.services.proc import free_port
from tests.threads import together
from tests.watch.receivers import MailSink, WebReceiver
from vcp import Alarm as AlarmEvent
from watch.models import Notification, NotificationChannel
from watch.services.notify import notify
from watch.services.sending import ATTEMPTS, PAUSES_S, SendOptions, prune_notifications, send_due, send_test
from watch.services.telling import fan_out, release, tell
from watch.webhook import WebhookOptions

pytestmark = pytest.mark.django_db
SECRET = "a shared secret of at least 32 characters"
OPTIONS = SendOptions(
    webhook=WebhookOptions(timeout_s=20, allow_http=True, allow_private=True), draw=lambda: 1.0
)
PRODUCT = "Busbar"


def minutes(count):
    return timedelta(minutes=count)


def channel(name="ops", **changes):
    facts = {
        "name": name,
        "kind": "WEBHOOK",
        "url": "http://localhost:9/",
        "secret": SECRET,
        "minimum_severity": "WARNING",
        "created_at": AT,
    }
    return NotificationChannel.objects.create(**(facts | changes))


def alarm(
    plant=None, *, alarm_id="a1", severity="ERROR", code="NO_ACK", at=AT, message="nobody answers", **whose
):
    where = {"connection_id": plant.connection_id, "plant_id": plant.pk} if plant else {"connection_id": None}
    raise_platform_alarm(
        **(where | whose), alarm_id=alarm_id, severity=severity, code=code, message=message, at=at
    )


def clear(plant, *, alarm_id="a1", at=AT):
    clear_platform_alarm(connection_id=plant.connection_id, alarm_id=alarm_id, at=at)


def told(at=AT):
    """(event, code, held back) of what a turn lets go."""
    tell(at=at, product=PRODUCT)
    rows = Notification.objects.filter(released_at=at).order_by("pk")
    return [(row.event, row.code, row.held_back) for row in rows]


# --- who hears of what ------------------------------------------------------------------------------------------------


def test_an_organisation_hears_of_its_own_alarms_alone_and_the_installation_of_all():
    ours, theirs = factories.plant(), factories.plant()
    for name, owner in (("installation", None), ("ours", ours.organisation), ("theirs", theirs.organisation)):
        channel(name, organisation=owner)
    alarm(ours, code="OF_A_PLANT")
    alarm(None, alarm_id="c", code="OF_A_CONNECTION", connection_id=ours.connection_id)
    alarm(None, alarm_id="o", code="OF_AN_ORGANISATION", organisation_id=ours.organisation_id)
    alarm(None, alarm_id="i", code="OF_THE_INSTALLATION")

    tell(at=AT, product=PRODUCT)

    heard = {}
    for row in Notification.objects.select_related("channel"):
        heard.setdefault(row.channel.name, set()).add(row.code)
    of_ours = {"OF_A_PLANT", "OF_A_CONNECTION", "OF_AN_ORGANISATION"}
    assert heard == {"ours": of_ours, "installation": of_ours | {"OF_THE_INSTALLATION"}}


@pytest.mark.parametrize(
    ("severity", "minimum", "only", "is_heard"),
    [
        ("WARNING", "WARNING", False, True),
        ("CRITICAL", "WARNING", False, True),
        ("INFO", "WARNING", False, False),
        ("error", "ERROR", False, True),
        ("GRAVE", "ERROR", False, True),
        ("GRAVE", "CRITICAL", False, False),
        ("WARNING", "WARNING", True, True),
        ("ERROR", "WARNING", True, False),
    ],
)
def test_a_channel_hears_from_its_severity_on_or_of_just_this_one(severity, minimum, only, is_heard):
    channel(minimum_severity=minimum, only_this_severity=only)
    alarm(factories.plant(), severity=severity)

    assert bool(told()) is is_heard


def test_alarms_of_voke_are_told_too_and_one_raised_and_cleared_in_a_batch_is_not():
    plant = factories.plant()
    channel()

    def word(alarm_id, cleared=None):
        event = AlarmEvent(
            alarm_id=alarm_id, severity="CRITICAL", code="FIRE", message="smoke", raised_at=AT, cleared_at=cleared
        )  # fmt: skip
        return AlarmWord(plant_id=plant.pk, event=event, told_at=cleared or AT)

    words = [word("v1"), word("v2"), word("v2", AT + minutes(1))]
    apply_alarms(connection_id=plant.connection_id, words=words, at=AT)

    assert told() == [("RAISED", "FIRE", 0)]
    content = Notification.objects.get().content
    assert (content["origin"], content["severity"], content["plant"]["name"]) == (
        "VOKE",
        "CRITICAL",
        plant.name,
    )


def test_a_clear_is_told_to_whom_the_raise_was_told_and_to_nobody_else():
    plant = factories.plant()
    channel("early", quiet_s=0)
    alarm(plant)
    tell(at=AT, product=PRODUCT)
    channel("late", quiet_s=0)
    clear(plant)

    assert told(AT + minutes(1)) == [("CLEARED", "NO_ACK", 0)]
    assert set(Notification.objects.values_list("channel__name", flat=True)) == {"early"}


def test_an_alarm_that_grows_worse_reaches_who_did_not_hear_of_it_before():
    plant = factories.plant()
    channel(minimum_severity="ERROR")
    alarm(plant, severity="WARNING")
    before = told()
    alarm(plant, severity="ERROR")

    assert (before, told(AT + minutes(1))) == ([], [("RAISED", "NO_ACK", 0)])


def test_an_alarm_that_is_only_brought_up_to_date_is_not_told_again():
    plant = factories.plant()
    channel(quiet_s=0)
    alarm(plant, message="two of them")
    tell(at=AT, product=PRODUCT)
    alarm(plant, message="three of them")

    assert told(AT + minutes(1)) == []


def test_what_was_rolled_back_is_never_told():
    channel()
    plant = factories.plant()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        alarm(plant)
        raise ZeroDivisionError

    assert told() == []


def test_a_channel_that_is_off_hears_nothing_and_changes_do_not_pile_up():
    channel(enabled=False)
    alarm(factories.plant())

    assert told() == []
    assert not AlarmChange.objects.exists()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_tellers_at_once_tell_each_change_once():
    plant = factories.plant()
    channel(quiet_s=0, max_per_hour=100)
    for number in range(20):
        alarm(plant, alarm_id=f"a{number}", code=f"C{number}")

    together(*[lambda: tell(at=AT, product=PRODUCT)] * 4)
    tell(at=AT, product=PRODUCT)

    assert Notification.objects.count() == 20
    assert Notification.objects.filter(state="PENDING").count() == 20


# --- how much of it ---------------------------------------------------------------------------------------------------


def test_a_burst_of_one_code_is_one_message_that_counts_the_others():
    plant = factories.plant()
    channel()
    for number in range(13):
        alarm(plant, alarm_id=f"a{number}")

    assert told() == [("RAISED", "NO_ACK", 12)]
    content = Notification.objects.get(state="PENDING").content
    assert (content["heldBack"], len(content["others"])) == (12, 10)
    assert Notification.objects.filter(state="SUMMED").count() == 12


def test_within_the_quiet_time_nothing_more_of_a_code_goes_and_afterwards_the_newest():
    plant = factories.plant()
    channel(quiet_s=300)
    alarm(plant)
    first = told()
    clear(plant, at=AT + minutes(1))
    alarm(plant, at=AT + minutes(2))
    within = told(AT + minutes(4))
    alarm(plant, alarm_id="b", code="OTHER")
    other_code = told(AT + minutes(4.5))

    assert first == [("RAISED", "NO_ACK", 0)]
    assert (within, other_code) == ([], [("RAISED", "OTHER", 0)])
    assert told(AT + minutes(5)) == [("RAISED", "NO_ACK", 1)]


def test_an_hour_has_its_limit_and_the_last_message_sums_up_every_code():
    plant = factories.plant()
    channel(quiet_s=0, max_per_hour=3)
    for number in range(6):
        alarm(
            plant, alarm_id=f"a{number}", code=f"C{number}", severity="CRITICAL" if number == 5 else "ERROR"
        )

    # The worst and one more go alone, the third stands for the four that are left.
    assert told() == [("RAISED", "C0", 0), ("RAISED", "C4", 3), ("RAISED", "C5", 0)]
    assert Notification.objects.filter(state="PENDING").count() == 3
    assert not Notification.objects.filter(state="WAITING").exists()

    alarm(plant, alarm_id="later", code="LATER")
    assert told(AT + minutes(59)) == []
    assert told(AT + minutes(60)) == [("RAISED", "LATER", 0)]


def test_one_channel_at_its_limit_does_not_silence_another():
    plant = factories.plant()
    channel("quiet", max_per_hour=1, quiet_s=0)
    channel("loud", max_per_hour=10, quiet_s=0)
    alarm(plant)
    tell(at=AT, product=PRODUCT)
    alarm(plant, alarm_id="b", code="OTHER")

    tell(at=AT + minutes(1), product=PRODUCT)

    rows = Notification.objects.filter(code="OTHER").values_list("channel__name", "state")
    assert set(rows) == {("loud", "PENDING"), ("quiet", "WAITING")}


def test_a_storm_is_taken_in_bounded_batches():
    plant = factories.plant()
    channel()
    for number in range(5):
        alarm(plant, alarm_id=f"a{number}")
    first = AlarmChange.objects.order_by("pk").first()

    assert fan_out(at=AT, product=PRODUCT) == 5
    assert not AlarmChange.objects.filter(pk=first.pk).exists()
    assert release(at=AT) == 1


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
