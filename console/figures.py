"""Numbers that people compare: as few decimals as they need, and never alike where they differ."""

from plants.words import local_number

_MOST_PLACES = 12


def told_apart(*values: float, places: int) -> list[str]:
    """The values with at most so many decimals, or with as many as it takes that no two different ones look alike.

    Nor does one that is not zero look like zero. Decimals that are zero are left out.
    """
    different = {0.0, *values}
    for count in range(places, _MOST_PLACES + 1):
        if len({_trimmed(value, count) for value in different}) == len(different):
            return [local_number(_trimmed(value, count)) for value in values]
    return [exact(value) for value in values]


def exact(value: float) -> str:
    """All that is stored of a number: `10.333333333333334`, `50`."""
    text = repr(float(value))
    return local_number(text.removesuffix(".0"))


def _trimmed(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    text = text.rstrip("0").rstrip(".") if places else text
    return "0" if text == "-0" else text
