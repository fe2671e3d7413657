"""Uploaded files of plans: their uploader's alone, bounded, and gone after a day."""

from datetime import timedelta

import pytest

from esm.ticks import BY_NAME
from plants.errors import Invalid, NotFound
from plants.models import User
from schedules.csv_plans import MAX_BYTES
from schedules.models import PlanUpload
from schedules.services.uploads import MOST_WAITING, find_upload, keep_upload, prune_uploads
from tests import factories
from tests.factories import AT

pytestmark = pytest.mark.django_db


def person(name="jana"):
    return User.objects.create_user(name, password="correct horse battery")


def kept(by, *, at=AT, content=b"plant,start\n"):
    organisation = factories.organisation()
    return keep_upload(organisation_id=organisation.pk, content=content, name="tomorrow.csv", by=by, at=at)


def test_a_file_comes_back_byte_by_byte_to_who_uploaded_it():
    jana = person()
    upload = kept(jana, content=b"\xef\xbb\xbfplant\r\n\x00")

    assert bytes(find_upload(upload_id=upload.pk, by=jana).content) == b"\xef\xbb\xbfplant\r\n\x00"


def test_nobody_else_finds_it():
    upload = kept(person())

    with pytest.raises(NotFound) as refused:
        find_upload(upload_id=upload.pk, by=person("petr"))

    assert refused.value.code == "UPLOAD_GONE"


def test_a_file_beyond_the_limit_is_not_kept():
    with pytest.raises(Invalid) as refused:
        kept(person(), content=b"x" * (MAX_BYTES + 1))

    assert (refused.value.code, PlanUpload.objects.count()) == ("TOO_LARGE", 0)


def test_only_the_newest_few_of_a_person_wait():
    jana, petr = person(), person("petr")
    others = kept(petr)
    made = [kept(jana) for _ in range(MOST_WAITING + 2)]

    assert set(PlanUpload.objects.filter(by=jana)) == set(made[2:])
    assert find_upload(upload_id=others.pk, by=petr)


def test_what_nobody_confirmed_within_a_day_is_thrown_away():
    jana = person()
    kept(jana, at=AT - timedelta(hours=25))
    fresh = kept(jana, at=AT - timedelta(hours=23))

    assert prune_uploads(at=AT) == 1
    assert list(PlanUpload.objects.all()) == [fresh]


def test_the_retention_of_plans_throws_them_away_too():
    kept(person(), at=AT - timedelta(hours=25))

    BY_NAME["plan_retention"].run(AT)

    assert not PlanUpload.objects.exists()
