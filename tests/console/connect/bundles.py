"""A bundle of Voke as it is pasted, and what no page may show of it."""

import json
import secrets

API_KEY, SIGNING_KEY = secrets.token_urlsafe(32), secrets.token_hex(32)


def bundle_text(**changes: object) -> str:
    members = {
        "amqpsUri": f"amqps://acme:{API_KEY}@broker.invalid:5671/partner-7",
        "apiKey": API_KEY,
        "signingKey": SIGNING_KEY,
        "slug": "acme",
        "keyId": "7",
    }
    return json.dumps({name: value for name, value in {**members, **changes}.items() if value is not None})


def says_no_secret(text: str) -> None:
    assert API_KEY not in text
    assert SIGNING_KEY not in text
