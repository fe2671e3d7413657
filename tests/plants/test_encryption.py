"""Secrets at rest: never in clear text in the database, never in an error or a repr, readable under every known key."""

import base64
import copy
import pickle
import secrets
import traceback

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from plants.encryption import Secret, UndecryptableSecret, current_version, decrypt, encrypt
from plants.models import Connection
from plants.selectors.connections import secret_versions
from plants.selectors.connections import undecryptable as undecryptable_secrets
from plants.services.connections import reencrypt_connections
from tests import factories
from tests.factories import SIGNING_KEY

URI = "amqps://acme:very-secret@localhost:5671/partner-1"
FIELDS = ("amqps_uri", "api_key", "signing_key")


def stored(pk, field):
    """What stands in the database, beneath the field that decrypts."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {field} FROM plants_connection WHERE id = %s", [pk])
        return cursor.fetchone()[0]


@pytest.fixture
def two_keys(settings):
    """A newer key in front of the one that everything is encrypted with."""
    old = dict(settings.FIELD_KEYS)
    settings.FIELD_KEYS = {"k2": secrets.token_bytes(32), **old}
    return settings


# --- the functions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [URI, "", "ř🔥\0", "x" * 10_000])
def test_what_was_encrypted_decrypts_to_the_same_text(text):
    assert decrypt(encrypt(text)) == text


def test_equal_texts_have_different_ciphertexts_with_the_version_in_front():
    first, second = encrypt(URI), encrypt(URI)

    assert first != second
    assert first.startswith(f"{current_version()}$")
    assert "secret" not in first


def test_the_first_key_encrypts_and_every_key_decrypts(two_keys):
    before = dict(list(two_keys.FIELD_KEYS.items())[1:])
    two_keys.FIELD_KEYS, both = before, two_keys.FIELD_KEYS
    old = encrypt(URI)
    two_keys.FIELD_KEYS = both

    new = encrypt(URI)

    assert new.startswith("k2$")
    assert decrypt(old) == decrypt(new) == URI


def undecryptable(text):
    with pytest.raises(UndecryptableSecret) as caught:
        decrypt(text)
    return caught.value


def test_a_key_version_that_is_gone_is_named(two_keys):
    text = encrypt(URI)
    two_keys.FIELD_KEYS = {"k3": secrets.token_bytes(32)}

    assert str(undecryptable(text)) == "key version 'k2' is not in FIELD_KEYS"


def test_a_changed_ciphertext_is_told_from_a_missing_key():
    text = encrypt(URI)
    changed = text[:-6] + ("AAAAAA" if text[-6:] != "AAAAAA" else "BBBBBB")

    assert str(undecryptable(changed)) == f"does not decrypt under key version '{current_version()}'"


@pytest.mark.parametrize(
    "clear",
    [URI, SIGNING_KEY, "pa$$word", f"{SIGNING_KEY}$", "$", "k1$", "gAAAA$x", "\ud800$gAAAA"],
)
def test_a_text_that_is_no_ciphertext_is_never_quoted_not_even_in_the_traceback(clear):
    """Somebody stored a secret past the field: its first part was quoted as 'key version'."""
    error = undecryptable(clear)

    told = "".join(traceback.format_exception(error))
    assert str(error) == "not in the form VERSION$TOKEN" or clear.startswith("\ud800")
    assert SIGNING_KEY not in told
    assert "very-secret" not in told
    assert "pa$$" not in told
    assert error.__cause__ is None


def test_a_plaintext_that_is_no_text_is_not_quoted(settings):
    """The right key, and bytes that no text ever was: UnicodeDecodeError carries them as its argument."""
    version, key = next(iter(settings.FIELD_KEYS.items()))
    token = Fernet(base64.urlsafe_b64encode(key[:32])).encrypt(b"\xffvery-secret").decode()

    error = undecryptable(f"{version}${token}")

    assert error.__cause__ is None
    assert "very-secret" not in "".join(traceback.format_exception(error))


# --- the field --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_no_secret_stands_in_the_database_in_clear_text():
    link = factories.connection(amqps_uri=URI, api_key="very-secret", signing_key=SIGNING_KEY)

    texts = [stored(link.pk, field) for field in FIELDS]

    assert all(text.startswith(f"{current_version()}$gAAAA") for text in texts)
    assert not [text for text in texts if "secret" in text or SIGNING_KEY in text]
    assert Connection.objects.get().signing_key == SIGNING_KEY


@pytest.mark.django_db
@pytest.mark.parametrize(
    "write",
    [
        lambda pk: Connection.objects.filter(pk=pk).update(api_key="very-secret"),
        lambda pk: Connection.objects.bulk_update([Connection(pk=pk, api_key="very-secret")], ["api_key"]),
        lambda pk: Connection.objects.update_or_create(pk=pk, defaults={"api_key": "very-secret"}),
    ],
    ids=["update", "bulk_update", "update_or_create"],
)
def test_every_way_to_write_encrypts(write):
    link = factories.connection()

    write(link.pk)

    assert "secret" not in stored(link.pk, "api_key")
    assert Connection.objects.get().api_key == "very-secret"


@pytest.mark.django_db
def test_an_empty_secret_stays_empty():
    link = factories.connection(signing_key="")

    assert stored(link.pk, "signing_key") == ""
    assert Connection.objects.get().signing_key == ""


@pytest.mark.django_db
@pytest.mark.parametrize("lookup", ["api_key", "api_key__contains", "api_key__in", "signing_key__startswith"])
def test_a_secret_can_not_be_searched(lookup):
    with pytest.raises(TypeError):
        list(Connection.objects.filter(**{lookup: "x"}))


@pytest.mark.django_db
def test_a_row_that_can_not_be_decrypted_says_so_without_its_text():
    link = factories.connection()
    factories.make_undecryptable(link)

    with pytest.raises(UndecryptableSecret, match="key version 'gone' is not in FIELD_KEYS"):
        Connection.objects.get()


@pytest.mark.django_db
def test_a_read_secret_does_not_show_itself():
    factories.connection(api_key="very-secret")
    link = Connection.objects.get()

    assert isinstance(link.api_key, Secret)
    for shown in (
        repr(link.api_key),
        repr([link.api_key]),
        f"{link.api_key!r}",
        repr(vars(link)),
        str(link),
        repr(link),
    ):
        assert "very-secret" not in shown
    assert link.api_key.reveal() == "very-secret"
    assert type(link.api_key.reveal()) is str


def test_a_secret_survives_copies_and_stays_hidden():
    for twin in (copy.deepcopy(Secret("very-secret")), pickle.loads(pickle.dumps(Secret("very-secret")))):
        assert twin == "very-secret"
        assert "very-secret" not in repr(twin)


@pytest.mark.django_db
def test_a_secret_that_stands_there_in_clear_text_is_found_and_not_shown():
    """Somebody wrote past the field: the list of key versions in use showed the text itself."""
    link = factories.connection(signing_key="")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE plants_connection SET api_key = 'very-secret' WHERE id = %s", [link.pk])

    versions, problems = secret_versions(), undecryptable_secrets()

    assert versions == {current_version()}
    assert problems == [(link.pk, "api_key", "not in the form VERSION$TOKEN")]


# --- rotation ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_re_encryption_writes_every_secret_under_the_current_key(two_keys):
    both = two_keys.FIELD_KEYS
    two_keys.FIELD_KEYS = dict(list(both.items())[1:])
    links = [factories.connection(signing_key=key) for key in (SIGNING_KEY, "")]
    two_keys.FIELD_KEYS = both

    count = reencrypt_connections(chunk=1)

    assert count == 2
    assert [stored(links[0].pk, field)[:3] for field in FIELDS] == ["k2$"] * 3
    assert stored(links[1].pk, "signing_key") == ""
    two_keys.FIELD_KEYS = {"k2": both["k2"]}
    assert [row.signing_key for row in Connection.objects.order_by("pk")] == [SIGNING_KEY, ""]
