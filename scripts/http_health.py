"""Asks one HTTP address whether it is well: exit code 0 for a 2xx answer, 1 with the reason for anything else.

    python scripts/http_health.py http://127.0.0.1:8000/readyz [--api-key-file FILE]

Container health checks run it every few seconds: standard library only, no Django, no proxy from the environment.
"""

import argparse
import http.client
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE", help="sent as X-API-Key")
    options = parser.parse_args()
    try:
        ask(options.url, options.api_key_file)
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{options.url}: {error}\n")
        return 1
    return 0


def ask(url: str, api_key_file: Path | None) -> None:
    """One GET; raises OSError (an HTTP error is one) or HTTPException."""
    headers = {} if api_key_file is None else {"X-API-Key": api_key_file.read_text(encoding="utf-8").strip()}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as answer:  # noqa: S310
        if not 200 <= answer.status < 300:
            raise urllib.error.HTTPError(url, answer.status, answer.reason, answer.headers, None)


if __name__ == "__main__":
    sys.exit(main())
