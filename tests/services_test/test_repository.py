"""What must never be in the repository: secrets, private keys, paths of a machine, addresses of a registry."""

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 2_000_000

KNOWN_VALUES = frozenset(
    {
        "00112233445566778899aabbccddeeff" * 2,  # the fact sheet's signing key
        "0" * 64,  # the stand-in's example
    }
)
"""Values in the form of a secret that are published test vectors."""


def looks_random(password: str) -> bool:
    """Whether a password in an address may be a real one: examples are short, or made of words."""
    text = unquote(password)
    return len(text) >= 10 and any(one.isdigit() for one in text) and any(one.isalpha() for one in text)


SECRETS = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{20}"),
    "token of a forge": re.compile(
        r"\b(?:ghp|gho|ghs|ghr)_[A-Za-z0-9]{36}|\bgithub_pat_\w{40,}|\bglpat-[\w-]{20,}"
    ),
    "key of a cloud": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{35}\b|\bxox[abprs]-[\w-]{20,}"),
    "key of a service": re.compile(r"\bsk-(?:[a-z]+-)?[A-Za-z0-9_-]{32,}|\b[sr]k_live_[A-Za-z0-9]{16,}"),
    "client secret of ours": re.compile(r"\besmsec_[A-Za-z0-9_-]{40,}"),
    "encrypted value": re.compile(r"\bgAAAAA[A-Za-z0-9_-]{80,}"),
    "signed token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}"),
    "hex key": re.compile(r"(?<![0-9a-fA-F:])[0-9a-f]{64}(?![0-9a-fA-F])"),
    "base64 key": re.compile(
        r"(?<![A-Za-z0-9+/=_-])(?=[A-Za-z0-9+/]*[0-9])[A-Za-z0-9+/]{43}=(?![A-Za-z0-9+/=])"
    ),
}
ADDRESS = re.compile(r"\b[a-z][a-z0-9+]{2,11}://[^\s:/@\"'`]*:([^\s/@\"'`]+)@")
MACHINE = re.compile(
    r"(?<![\w.~-])(?:/root/|/home/[a-z]|/Users/[A-Za-z]|/work/|/workspace/|/mnt/[a-z]|[A-Z]:\\Users\\)[\w./-]*"
)
REGISTRY = re.compile(
    r"(?i)(?:--)?(?:extra-)?index-url\s*[=: ]\s*\S+|trusted-host\s*[=: ]\s*\S+|--find-links\s+\S+"
    r"|https?://[\w.-]*(?:artifactory|jfrog|nexus|codeartifact|pkg\.dev|pypi\.|registry\.)[\w./-]*"
)

PINNED = frozenset({"requirements.txt", "requirements-dev.txt"})
"""Files whose hex texts are the hashes of public packages."""

VECTORS = "tests/vcp/vectors/"
"""Published test vectors of the protocol, made with a key that everybody knows."""


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every tracked text by its name, this file left out: it holds what it looks for."""
    own = Path(__file__).relative_to(ROOT).as_posix()
    found = {}
    for name in tracked():
        body = (ROOT / name).read_bytes()
        if name != own and b"\0" not in body[:8000] and len(body) < LARGEST:
            found[name] = body.decode(errors="replace")
    return found


def hits(texts: dict[str, str], pattern: re.Pattern[str]) -> list[str]:
    """`file:line: what` of every hit; what looks like a secret is shown by its beginning only."""
    return [
        f"{name}:{text.count(chr(10), 0, found.start()) + 1}: {found[0][:12]}…"
        for name, text in texts.items()
        for found in pattern.finditer(text)
        if found[0] not in KNOWN_VALUES
    ]


@pytest.mark.parametrize("kind", SECRETS)
def test_no_tracked_file_holds_a_secret(texts: dict[str, str], kind: str) -> None:
    looked_at = {
        name: text for name, text in texts.items() if name not in PINNED and not name.startswith(VECTORS)
    }

    assert hits(looked_at, SECRETS[kind]) == []


def test_no_address_holds_a_password(texts: dict[str, str]) -> None:
    found = [
        f"{name}: {address[0].partition('://')[0]}"
        for name, text in texts.items()
        for address in ADDRESS.finditer(text)
        if looks_random(address[1])
    ]

    assert found == []


def test_no_tracked_file_names_a_path_of_somebodys_machine(texts: dict[str, str]) -> None:
    assert hits(texts, MACHINE) == []


def test_no_tracked_file_names_a_package_registry(texts: dict[str, str]) -> None:
    assert hits(texts, REGISTRY) == []


def test_no_tracked_file_is_an_environment_or_a_key_file() -> None:
    suspicious = re.compile(
        r"(?:^|/)(?:\.env|\.pypirc|\.netrc|pip\.conf|id_[a-z0-9]+|.*\.(?:pem|key|p12|pfx|kdbx|sqlite3))$"
    )

    assert [name for name in tracked() if suspicious.search(name)] == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("private key", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY"),
        ("token of a forge", "ghp_" + "a1B2" * 9),
        ("key of a cloud", "AKIA" + "Q7" * 8),
        ("key of a service", "sk-ant-" + "x9" * 20),
        ("client secret of ours", "esmsec_" + "Ab3" * 15),
        ("encrypted value", "v1$gAAAAA" + "Bk" * 50),
        ("signed token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0abcd." + "x" * 30),
        ("hex key", "deadbeef" * 8),
        ("base64 key", "k1:" + "Qz9" * 14 + "a="),
    ],
)
def test_the_search_finds_what_it_looks_for(kind: str, text: str) -> None:
    assert len(hits({"some.py": f"x = '{text}'"}, SECRETS[kind])) == 1


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE, "see /home/petr/project"),
        (MACHINE, "cd /root/x"),
        (REGISTRY, "--index-url https://example.com/simple"),
        (REGISTRY, "https://artifactory.example.com/pypi"),
        (ADDRESS, "amqps://acme:Zk3+hh81hs@host/vhost"),
    ],
)
def test_the_search_finds_places_too(pattern: re.Pattern[str], text: str) -> None:
    assert len(hits({"some.md": text}, pattern)) == 1
