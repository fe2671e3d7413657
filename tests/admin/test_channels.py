"""Who is told: channels are made, tested, changed and removed by people; secrets go in and never come out."""

import pytest
from django.db.models import TextField, Value

from plants.models import Alarm
from plants.services.alarms import raise_platform_alarm
from tests import factories
from tests.admin.pages import form_data, page, text_of
from tests.factories import AT
from tests.services.proc import free_port
from tests.watch.receivers import WebReceiver
from watch.models import Notification, NotificationChannel

pytestmark = pytest.mark.django_db
SECRET = "a shared secret of at least 32 characters"
WEBHOOK = {
    "name": "Pager",
    "enabled": "on",
    "kind": "WEBHOOK",
    "url": "https://pager.example/hook",
    "new_secret": SECRET,
    "minimum_severity": "ERROR",
    "quiet_s": "300",
    "max_per_hour": "20",
}
MAIL = WEBHOOK | {
    "kind": "EMAIL",
    "url": "",
    "new_secret": "",
    "addresses": "ops@example.com;\n night@example.com",
}
ADD = "watch_notificationchannel_add"
CHANGE = "watch_notificationchannel_change"


def channel(**changes):
    facts = {
        "name": "Pager",
        "kind": "WEBHOOK",
        "url": "https://pager.example/",
        "secret": SECRET,
        "created_at": AT,
    }
    return NotificationChannel.objects.create(**(facts | changes))


def test_a_webhook_is_made_and_its_secret_is_stored_encrypted_and_shown_nowhere(jana):
    assert jana.post(page(ADD), WEBHOOK).status_code == 302

    row = NotificationChannel.objects.get()
    opened = jana.get(page(CHANGE, row.pk))
    stored = NotificationChannel.objects.extra(select={"raw": "secret"}).values_list("raw", flat=True).get()
    assert (row.kind, row.url, row.secret.reveal(), row.created_at) == ("WEBHOOK", WEBHOOK["url"], SECRET, AT)
    assert SECRET not in str(stored)
    assert SECRET not in opened.content.decode()


def test_a_mail_channel_takes_addresses_as_people_write_them(jana):
    jana.post(page(ADD), MAIL)

    assert NotificationChannel.objects.get().addresses == "ops@example.com, night@example.com"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (WEBHOOK | {"url": "http://pager.example/"}, "must be https://"),
        (WEBHOOK | {"url": "https://user:pw@pager.example/"}, "must be https://"),
        (WEBHOOK | {"new_secret": "short"}, "at least 32 characters"),
        (WEBHOOK | {"new_secret": ""}, "needs a secret"),
        (MAIL | {"addresses": "nobody"}, "is not an e-mail address"),
        (MAIL | {"addresses": ""}, "has no e-mail address"),
        (WEBHOOK | {"max_per_hour": "0"}, "greater than or equal to 1"),
        (WEBHOOK | {"quiet_s": "86401"}, "less than or equal to 86400"),
    ],
)
def test_what_could_never_be_sent_is_refused_at_its_field_and_the_secret_is_not_written_back(
    jana, typed, said
):
    answer = jana.post(page(ADD), typed)

    assert answer.status_code == 200
    assert said in text_of(answer)
    assert SECRET not in answer.content.decode()
    assert not NotificationChannel.objects.exists()


def test_a_change_without_a_secret_keeps_the_stored_one_and_the_organisation(jana):
    owner = factories.organisation()
    row = channel(organisation=owner)
    opened = jana.get(page(CHANGE, row.pk))

    jana.post(page(CHANGE, row.pk), form_data(opened, name="Night pager", organisation=""))

    row = NotificationChannel.objects.get()
    assert (row.name, row.secret.reveal(), row.organisation) == ("Night pager", SECRET, owner)


def test_the_test_button_sends_a_message_and_says_that_it_was_taken(jana, settings):
    settings.NOTIFY_ALLOW_HTTP = settings.NOTIFY_ALLOW_PRIVATE = True
    with WebReceiver() as receiver:
        row = channel(url=receiver.url)
        asked = jana.get(page("watch_notificationchannel_test", row.pk))
        answer = jana.post(page("watch_notificationchannel_test", row.pk), follow=True)

    assert "Send a test on Pager?" in text_of(asked)
    assert "Pager took the test." in text_of(answer)
    assert len(receiver.requests) == 1
    assert Notification.objects.get().state == "SENT"


def test_the_test_button_says_in_plain_words_why_it_failed(jana, settings):
    settings.NOTIFY_ALLOW_HTTP = settings.NOTIFY_ALLOW_PRIVATE = True
    port = free_port()
    row = channel(url=f"http://localhost:{port}/")

    answer = jana.post(page("watch_notificationchannel_test", row.pk), follow=True)

    assert f"The test was not taken: localhost can't be reached on port {port} (UNREACHABLE)." in text_of(
        answer
    )


def test_only_who_may_test_sends_tests(staff):
    row = channel()
    client = staff("watch.view_notificationchannel", "watch.change_notificationchannel")

    assert client.post(page("watch_notificationchannel_test", row.pk)).status_code == 403
    assert not Notification.objects.exists()


def test_a_channel_is_removed_with_what_it_was_told(jana):
    row = channel()
    answer = jana.post(page("watch_notificationchannel_remove", row.pk), follow=True)

    assert "Pager is removed." in text_of(answer)
    assert not NotificationChannel.objects.exists()


def test_pages_open_when_a_stored_secret_does_not_decrypt(jana):
    row = channel()
    broken = Value("gone$gAAAAx", output_field=TextField())
    NotificationChannel.objects.filter(pk=row.pk).update(secret=broken)

    assert jana.get(page(CHANGE, row.pk)).status_code == 200
    assert jana.get(page("watch_notificationchannel_changelist")).status_code == 200


def test_alarms_of_connections_organisations_and_the_installation_say_what_they_are_about(jana):
    link = factories.connection()
    owner = factories.organisation(name="Acme Flex")
    about = {"a": {"connection_id": link.pk}, "b": {"connection_id": None, "organisation_id": owner.pk}}
    for alarm_id, whose in {**about, "c": {"connection_id": None}}.items():
        raise_platform_alarm(
            **whose, alarm_id=alarm_id, severity="ERROR", code=f"CODE_{alarm_id}", message="m", at=AT
        )

    listed = text_of(jana.get(page("plants_alarm_changelist")))
    of_acme = jana.get(page("plants_alarm_changelist"), {"organisation": owner.pk})

    assert all(word in listed for word in (link.name, "Acme Flex", "This installation"))
    assert of_acme.context["cl"].result_count == 1
    for row in Alarm.objects.all():
        assert jana.get(page("plants_alarm_change", row.pk)).status_code == 200
