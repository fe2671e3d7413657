"""Tags that every page has hundreds of, told once: addresses, icons, translated words.

They mean what Django's tags of the same names mean; what they keep is true as long as the process lives.
"""

from collections.abc import Callable

from django.template import TemplateSyntaxError
from django.template.base import FilterExpression, Node, Parser, Token, Variable
from django.template.context import Context
from django.template.defaulttags import URLNode
from django.template.defaulttags import url as compile_url
from django.templatetags.i18n import TranslateNode, do_translate
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from console.addresses import address, address_html


class AddressNode(URLNode):
    """`{% url 'console:…' number word %}`."""

    def render(self, context: Context) -> str:
        """The address, escaped where the template escapes."""
        args = [arg.resolve(context) for arg in self.args]
        view_name = self.view_name.resolve(context)
        return address_html(view_name, *args) if context.autoescape else address(view_name, *args)


def url(parser: Parser, token: Token) -> Node:
    """Of the console's own pages; any other address, and one that is kept in a variable, is Django's business."""
    node = compile_url(parser, token)
    view_name = node.view_name
    named = isinstance(view_name.var, str) and view_name.var.startswith("console:")
    if not named or node.kwargs or node.asvar:
        return node
    return AddressNode(node.view_name, node.args, node.kwargs, node.asvar)


class IconNode(Node):
    """`{% icon name size %}`."""

    child_nodelists = ()

    def __init__(self, draw: Callable[..., SafeString], parts: list[FilterExpression]) -> None:
        self.draw, self.parts = draw, parts

    def render(self, context: Context) -> str:
        """The icon."""
        return self.draw(*[str(part.resolve(context)) for part in self.parts])


def icon_tag(draw: Callable[..., SafeString]) -> Callable[[Parser, Token], Node]:
    """The tag that draws icons so."""

    def icon(parser: Parser, token: Token) -> Node:
        _, *bits = token.split_contents()
        if len(bits) not in {1, 2}:
            raise TemplateSyntaxError("icon takes a name and perhaps a size")
        return IconNode(draw, [parser.compile_filter(bit) for bit in bits])

    return icon


class WordsNode(TranslateNode):
    """`{% translate "words" %}`: the same in each language for ever."""

    def __init__(self, node: TranslateNode) -> None:
        self.__dict__.update(node.__dict__)
        self._told: dict[tuple[str | None, bool], str] = {}

    def render(self, context: Context) -> str:
        """The words in the language of the request."""
        key = (get_language(), bool(context.autoescape))
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = mark_safe(super().render(context))  # noqa: S308 - as Django's tag made it
        return told


def translate(parser: Parser, token: Token) -> Node:
    """As Django's; kept where the words stand in the template itself."""
    node: TranslateNode = do_translate(parser, token)
    words = node.filter_expression
    fixed = isinstance(words.var, Variable) and words.var.literal is not None and not words.filters
    if not fixed or node.noop or node.asvar or node.message_context:
        return node
    return WordsNode(node)
