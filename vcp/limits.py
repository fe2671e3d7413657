"""Bounds of the wire protocol that more than one module keeps."""

from typing import Final

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""Largest whole number that a JavaScript peer holds exactly; typed number fields stay within +/- this."""

MAX_DEPTH: Final = 64
"""Deepest nesting of objects and arrays that is read or written. Interpretation: the sources name no bound;
the deepest message of the protocol has five levels."""

MAX_ID_LENGTH: Final = 128
"""Longest identifier or vocabulary word, in characters: these become database keys."""
