"""A stream that was allowed: the word of the view that decided to the shell that streams.

It lies in the ASGI scope under `STREAM`, where no client can put or see anything.
"""

from dataclasses import dataclass
from typing import Final

from live.wishes import Wishes

STREAM: Final = "esm.stream"


@dataclass(frozen=True, kw_only=True, eq=False)
class Grant:
    """Who may hear what. `position`: the text of the place to go on at, "" = from now on.

    `session_key`: the session by which the person is signed in; a stream ends soon after it. `slow`: nobody looks at
    it at present. `is_probe`: only asked whether a stream would be served.
    """

    organisation_id: int
    user_id: int
    session_key: str
    wishes: Wishes
    position: str = ""
    slow: bool = False
    is_probe: bool = False
