"""Tags that are told once per process say what Django's own say: addresses, words, icons."""

import pytest
from django.template import Context, Template, TemplateSyntaxError
from django.urls import NoReverseMatch, reverse, set_script_prefix
from django.utils.html import escape
from django.utils.translation import override

from console.addresses import address
from console.templatetags.console import codes


def rendered(text: str, **context: object) -> str:
    return Template("{% load i18n console %}" + text).render(Context(context))


@pytest.mark.parametrize("number", [0, 7, 2**63 - 1])
def test_an_address_with_numbers_is_that_of_django(number: int) -> None:
    for name, args in (("console:plant:page", [number]), ("console:fleet:list", [])):
        assert address(name, *args) == address(name, *args) == reverse(name, args=args)
        assert rendered(
            "{% url name number %}" if args else "{% url name %}", name=name, number=number
        ) == reverse(name, args=args)


def test_words_of_an_address_are_quoted_and_escaped_as_django_does() -> None:
    words = "a'b&c\"d"
    plain = reverse("console:plans:day", args=[7, words])

    assert address("console:plans:day", 7, words) == plain
    assert rendered("{% url 'console:plans:day' 7 words %}", words=words) == escape(plain)
    with pytest.raises(NoReverseMatch):
        address("console:plant:page", words)


def test_an_address_begins_with_the_prefix_of_the_request() -> None:
    before = address("console:plant:page", 7)
    set_script_prefix("/behind/")
    try:
        assert address("console:plant:page", 8) == "/behind/console/plants/8/"
        assert rendered("{% url 'console:plant:page' 9 %}") == "/behind/console/plants/9/"
    finally:
        set_script_prefix("/")
    assert before == "/console/plants/7/"


def test_a_tag_whose_page_is_unknown_fails_and_one_kept_in_a_variable_does_not() -> None:
    with pytest.raises(NoReverseMatch):
        rendered("{% url 'console:nowhere' 7 %}")
    assert rendered("{% url 'console:nowhere' 7 as found %}[{{ found }}]") == "[]"


def test_words_are_those_of_the_language_of_the_request() -> None:
    page = Template('{% load i18n console %}{% translate "Yes" %}|{% translate "Yes" as kept %}{{ kept }}')
    told = []
    for language in ("en", "cs", "en"):
        with override(language):
            told.append(page.render(Context()))

    assert told[0] == told[2] == "Yes|Yes"
    assert told[1] == "Ano|Ano"


def test_words_keep_their_markup_and_percent_signs() -> None:
    assert rendered('{% translate "50 % of <b>it</b>" %}') == "50 % of <b>it</b>"


def test_an_icon_takes_a_name_and_a_size() -> None:
    assert 'class="i s"' in rendered('{% icon "hand" "s" %}')
    assert rendered("{% icon name %}", name="hand") == rendered('{% icon "hand" %}')
    assert "<b>" not in rendered("{% icon name %}", name="<b>")
    with pytest.raises(TemplateSyntaxError):
        rendered("{% icon %}")


def test_what_is_typed_stands_in_the_letters_of_code_and_is_escaped_like_the_rest() -> None:
    assert (
        codes("Start `a <b>`, then `c`; <i>")
        == "Start <code>a &lt;b&gt;</code>, then <code>c</code>; &lt;i&gt;"
    )


def test_a_lone_backtick_is_a_character_like_others() -> None:
    assert codes("5` <b>") == "5` &lt;b&gt;"
