"""Texts of others (brokers, headers, routing keys) as every database takes them."""


def storable_text(text: object) -> str:
    """The text without lone surrogates and U+0000: PostgreSQL refuses both, and a row that is refused comes again."""
    clean = str(text).encode("utf-8", "replace").decode()
    return clean.replace("\0", "\N{SYMBOL FOR NULL}")
