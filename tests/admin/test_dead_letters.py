"""Dead letters in the admin: filtered, opened, replayed and discarded, each by those who may."""

from datetime import timedelta

import pytest

from link.admin import dead_letters as pages
from plants.models import Alarm, DeadLetter
from plants.services.dead_letters import TOO_LARGE, Letter, discard, store_dead_letter
from tests import factories
from tests.admin.pages import page, text_of
from tests.factories import AT
from tests.link.helpers import alarm, delivery, hear

pytestmark = pytest.mark.django_db
UUID = "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
VIEW = "plants.view_deadletter"
REPLAY = "plants.replay_deadletter"
DISCARD = "plants.discard_deadletter"
BODY = "plants.view_deadletter_body"


def two_letters() -> tuple[DeadLetter, DeadLetter]:
    """One that a plant's UUID mends, and one that nothing mends."""
    link = factories.connection()
    hear(link, alarm(UUID))
    hear(link, delivery(b"nonsense"))
    factories.plant(on=link, voke_uuid=UUID)
    mended, garbled = DeadLetter.objects.order_by("pk")
    return mended, garbled


def asking(name: str, *letters: DeadLetter) -> str:
    return f"{page(f'plants_deadletter_{name}')}?letters={','.join(str(one.pk) for one in letters)}"


def test_letters_are_replayed_after_a_question_and_the_answer_says_what_became_of_each(jana):
    mended, garbled = two_letters()
    url = asking("replay", mended, garbled)

    asked = text_of(jana.get(url))
    assert "Replay 2 dead letters?" in asked
    assert "UNKNOWN_SITE: 1" in asked
    assert Alarm.objects.count() == 0

    told = text_of(jana.post(url, follow=True))

    assert "1 applied, 1 still dead. Reasons: MALFORMED_JSON (1)." in told
    assert Alarm.objects.count() == 1
    assert mended.events.get().actor == "jana"


def test_ticked_letters_go_to_the_page_that_asks(jana):
    mended, garbled = two_letters()
    chosen = {"_selected_action": [mended.pk, garbled.pk]}

    for name in ("replay", "discard"):
        answer = jana.post(page("plants_deadletter_changelist"), chosen | {"action": f"{name}_selected"})

        assert answer.url == asking(name, mended, garbled)


def test_of_too_many_ticked_letters_the_first_are_taken_and_the_page_says_so(jana, monkeypatch):
    mended, garbled = two_letters()
    monkeypatch.setattr(pages, "MOST_AT_ONCE", 1)
    chosen = {"_selected_action": [mended.pk, garbled.pk], "action": "replay_selected"}

    answer = jana.post(page("plants_deadletter_changelist"), chosen, follow=True)

    assert answer.redirect_chain[0][0] == asking("replay", mended)
    assert "These are the first 1" in text_of(answer)


def test_a_letter_has_buttons_that_lead_to_the_same_pages(jana):
    mended, _ = two_letters()

    shown = jana.get(page("plants_deadletter_change", mended.pk)).content.decode()
    answer = jana.get(page("plants_deadletter_replay_one", mended.pk))

    assert page("plants_deadletter_discard_one", mended.pk) in shown
    assert answer.url == asking("replay", mended)


def test_a_letter_is_discarded_with_a_note_that_its_history_shows(jana):
    _, garbled = two_letters()
    url = asking("discard", garbled)

    refused = jana.post(url, {"note": " "})
    done = jana.post(url, {"note": "from the test bench"}, follow=True)

    assert refused.status_code == 200
    shown = text_of(done)
    assert "1 dead letter discarded." in shown
    assert "Discarded by jana: from the test bench" in shown
    garbled.refresh_from_db()
    assert garbled.state == "DISCARDED"


def test_what_somebody_else_has_settled_meanwhile_is_said(jana):
    _, garbled = two_letters()
    discard(letter_ids=[garbled.pk], actor="petr", note="noise", at=AT)

    told = text_of(jana.post(asking("discard", garbled), {"note": "noise"}, follow=True))

    assert "0 dead letters discarded" in told
    assert "1 dead letter had been settled before" in told


def test_a_letter_of_which_only_the_beginning_was_kept_says_that_it_can_not_be_replayed(jana):
    too_large = Letter(
        queue="q", routing_key="acme.event.alarm", headers={}, body=b"{", reason=TOO_LARGE, path="", detail=""
    )
    store_dead_letter(connection_id=factories.connection().pk, letter=too_large, at=AT)
    url = asking("replay", DeadLetter.objects.get())

    assert "can't be replayed" in text_of(jana.get(url))
    assert "only the first bytes were kept" in text_of(jana.post(url, follow=True))


def test_letters_that_are_gone_lead_back_to_the_list(jana):
    for name in ("replay", "discard"):
        answer = jana.get(f"{page(f'plants_deadletter_{name}')}?letters=999999,x,²,{'9' * 40}")

        assert answer.url == page("plants_deadletter_changelist")


def test_who_may_only_look_decides_nothing(staff):
    mended, _ = two_letters()
    client = staff(VIEW)

    statuses = [
        client.post(asking("replay", mended)).status_code,
        client.post(asking("discard", mended), {"note": "x"}).status_code,
        client.get(page("plants_deadletter_replay_one", mended.pk)).status_code,
    ]
    chosen = {"_selected_action": [mended.pk], "action": "replay_selected"}
    client.post(page("plants_deadletter_changelist"), chosen)

    assert statuses == [403, 403, 403]
    assert DeadLetter.objects.filter(state="OPEN").count() == 2


def test_replaying_and_discarding_are_rights_of_their_own(staff):
    mended, _ = two_letters()
    client = staff(VIEW, REPLAY)

    assert client.post(asking("replay", mended)).status_code == 302
    assert client.get(asking("discard", mended)).status_code == 403


def test_a_right_to_decide_is_none_to_look(staff):
    mended, _ = two_letters()
    client = staff(REPLAY, DISCARD)

    assert client.get(asking("replay", mended)).status_code == 403
    assert client.get(asking("discard", mended)).status_code == 403


@pytest.mark.parametrize("rights", [(VIEW,), (VIEW, BODY)])
def test_the_bytes_are_shown_to_those_who_may_see_them(staff, rights):
    _, garbled = two_letters()

    response = staff(*rights).get(page("plants_deadletter_change", garbled.pk))

    may = BODY in rights
    assert ("000000 6e 6f 6e 73 65 6e 73 65" in text_of(response)) is may
    assert ("no permission to see" in text_of(response)) is not may
    assert ("nonsense" in response.content.decode()) is may


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"reason": "UNKNOWN_SITE"}, 1),
        ({"state__exact": "OPEN"}, 2),
        ({"state__exact": "DISCARDED"}, 0),
        ({"age": "hour"}, 2),
        ({"age": "older"}, 0),
    ],
)
def test_letters_are_filtered_by_reason_state_and_age(jana, query, count):
    two_letters()

    listed = jana.get(page("plants_deadletter_changelist"), query)

    assert listed.context["cl"].result_count == count


def test_an_old_letter_is_found_by_its_age(jana):
    hear(factories.connection(), delivery(b"old"), at=AT - timedelta(days=8))

    assert jana.get(page("plants_deadletter_changelist"), {"age": "older"}).context["cl"].result_count == 1
    assert jana.get(page("plants_deadletter_changelist"), {"age": "week"}).context["cl"].result_count == 0


def test_the_pages_open_although_a_secret_does_not_decrypt(jana):
    mended, _ = two_letters()
    factories.make_undecryptable(mended.connection, "amqps_uri", "api_key", "signing_key")

    assert jana.get(page("plants_deadletter_changelist")).status_code == 200
    assert "1 applied" in text_of(jana.post(asking("replay", mended), follow=True))


def test_a_note_is_shown_as_text_whatever_it_holds(jana):
    mended, _ = two_letters()

    done = jana.post(asking("discard", mended), {"note": "<script>alert(1)</script>"}, follow=True)

    assert "<script>alert(1)" not in done.content.decode()
