"""Settings from the environment: a wrong value refuses to start with its name and reason, and never with itself."""

import base64

import pytest

from esm.env import Env, SettingError

KEY = base64.b64encode(b"k" * 32).decode()
SECRET = "hunter2-hunter2"


def env(**values):
    return Env(values)


def refused(work):
    with pytest.raises(SettingError) as caught:
        work()
    return str(caught.value)


# --- where a value comes from -----------------------------------------------------------------------------------------


def test_a_value_is_read_from_its_variable():
    assert env(NAME="x").text("NAME") == "x"


def test_a_value_is_read_from_the_file_that_its_file_variable_names(tmp_path):
    file = tmp_path / "secret"
    file.write_text("  from file\n")

    assert env(NAME_FILE=str(file)).text("NAME") == "from file"


def test_both_at_once_are_refused_without_telling_either(tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET)

    text = refused(lambda: env(NAME=SECRET, NAME_FILE=str(file)).text("NAME"))

    assert text == "NAME: set either NAME or NAME_FILE, not both"


def test_an_empty_variable_beside_a_file_counts_as_absent(tmp_path):
    file = tmp_path / "secret"
    file.write_text("x")

    assert env(NAME="", NAME_FILE=str(file)).text("NAME") == "x"


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")]
)
def test_a_file_that_can_not_be_read_is_refused_by_the_name_of_its_variable(tmp_path, make):
    path = tmp_path / "secret"
    make(path)

    assert refused(lambda: env(NAME_FILE=str(path)).text("NAME")).startswith("NAME_FILE: cannot be read: ")


def test_an_empty_file_counts_as_absent(tmp_path):
    (tmp_path / "secret").write_text(" \n")

    assert env(NAME_FILE=str(tmp_path / "secret")).text("NAME", "default") == "default"


# --- what a value may be ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{}, {"NAME": ""}])
def test_a_required_text_that_is_missing_is_refused(values):
    assert refused(lambda: env(**values).text("NAME")) == "NAME: is required but not set"


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10", 10), (" 5 ", 5)])
def test_a_whole_number_within_its_bounds_is_taken(text, number):
    assert env(NAME=text).integer("NAME", 3, low=1, high=10) == number


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "must be a whole number"),
        ("1.5", "must be a whole number"),
        ("0", "must be between 1 and 10"),
        ("11", "must be between 1 and 10"),
    ],
)
def test_a_wrong_whole_number_is_refused_with_the_reason(text, reason):
    assert refused(lambda: env(NAME=text).integer("NAME", 3, low=1, high=10)) == f"NAME: {reason}"


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "0.09", "10.1", "x"])
def test_a_wrong_number_is_refused(text):
    assert refused(lambda: env(NAME=text).number("NAME", 1.0, low=0.1, high=10.0)).startswith(
        "NAME: must be "
    )


def test_a_number_within_its_bounds_is_taken():
    assert env(NAME="0.1").number("NAME", 1.0, low=0.1, high=10.0) == 0.1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True),
        ("true", True),
        ("YES", True),
        ("on", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("OFF", False),
    ],
)
def test_the_usual_words_are_yes_and_no(text, value):
    assert env(NAME=text).boolean("NAME", not value) is value


def test_any_other_word_is_refused_as_a_yes_or_no():
    assert "must be one of true" in refused(lambda: env(NAME="maybe").boolean("NAME", False))


def test_a_word_outside_the_choices_is_refused_with_the_choices():
    assert refused(lambda: env(NAME="c").choice("NAME", "a", ("a", "b"))) == "NAME: must be one of a, b"


@pytest.mark.parametrize(("text", "words"), [("a, b,,c ,", ["a", "b", "c"]), (" , ", [])])
def test_a_list_is_split_at_commas_without_empty_members(text, words):
    assert env(NAME=text).words("NAME", ("default",)) == words


def test_defaults_stand_in_for_what_is_not_set():
    nothing = env()

    assert (nothing.text("N", "t"), nothing.integer("N", 3, low=1, high=9), nothing.boolean("N", True)) == (
        "t",
        3,
        True,
    )
    assert (nothing.number("N", 1.5, low=1, high=2), nothing.choice("N", "a", ("a",)), nothing.words("N", "ab")) == (
        1.5, "a", ["a", "b"],
    )  # fmt: skip


# --- keys -------------------------------------------------------------------------------------------------------------


def test_versioned_keys_keep_their_order_and_the_first_is_the_current_one():
    keys = env(KEYS=f"v2:{KEY},v1:{KEY}").versioned_keys("KEYS")

    assert list(keys) == ["v2", "v1"]
    assert keys["v1"] == b"k" * 32


@pytest.mark.parametrize(
    "material", [base64.urlsafe_b64encode(b"\xff" * 33).decode(), KEY.rstrip("="), f" {KEY} "]
)
def test_a_key_may_use_either_alphabet_and_leave_its_padding_out(material):
    assert len(env(KEYS=f"v1:{material}").versioned_keys("KEYS")["v1"]) >= 32


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is required"),
        (KEY, "each key needs its own version"),
        (f":{KEY}", "each key needs its own version"),
        (f"v1:{KEY},v1:{KEY}", "each key needs its own version"),
        (f"v$1:{KEY}", "each key needs its own version"),
        ("v1:!!!", "holds a key that is not base64"),
        ("v1:" + base64.b64encode(b"short").decode(), "holds a key shorter than 32 bytes"),
    ],
)
def test_wrong_keys_are_refused_and_never_quoted(text, reason):
    told = refused(lambda: env(KEYS=text).versioned_keys("KEYS"))

    assert told.startswith(f"KEYS: {reason}")
    assert KEY not in told


# --- the database -----------------------------------------------------------------------------------------------------


def test_an_address_of_postgresql_becomes_djangos_entry_with_its_parts_decoded():
    entry = env(DATABASE_URL="postgres://us%40er:p%2Fw@db.example.com:5433/esm?sslmode=require").database(
        "DATABASE_URL", ""
    )

    assert entry == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "esm",
        "USER": "us@er",
        "PASSWORD": "p/w",
        "HOST": "db.example.com",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "require"},
    }


def test_the_password_may_stand_in_a_variable_of_its_own():
    entry = env(DATABASE_URL="postgres://user@db/esm", DATABASE_PASSWORD=SECRET).database("DATABASE_URL", "")

    assert entry["PASSWORD"] == SECRET


def test_a_socket_directory_may_stand_in_the_query():
    entry = env(DATABASE_URL="postgres:///esm?host=/run/postgresql").database("DATABASE_URL", "")

    assert (entry["HOST"], entry["NAME"], entry["OPTIONS"]) == ("/run/postgresql", "esm", {})


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///var/esm.sqlite3", "var/esm.sqlite3"),
        ("sqlite:////srv/esm.sqlite3", "/srv/esm.sqlite3"),
        ("sqlite://", ":memory:"),
    ],
)
def test_a_file_of_sqlite_is_named_by_its_path(url, name):
    assert env(DATABASE_URL=url).database("DATABASE_URL", "") == {"ENGINE": "esm.sqlite", "NAME": name}


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://user:{SECRET}@db/esm",
        f"postgres://user:{SECRET}@db:port/esm",
        f"postgres://user:{SECRET}@[::1/esm",
        f"postgres://user:{SECRET}@db:99999/esm",
        f"postgres://user:{SECRET}@db",
        f"postgres://user:{SECRET}@db/",
        "",
    ],
    ids=["scheme", "port", "brackets", "high port", "no database", "empty database", "nothing"],
)
def test_a_wrong_address_is_refused_by_name_and_its_password_is_not_told(url):
    with pytest.raises(SettingError) as caught:
        env(DATABASE_URL=url).database("DATABASE_URL", "")

    assert str(caught.value).startswith("DATABASE_URL: ")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.name == "DATABASE_URL"
