"""The history of what was told: what a screen that comes back gets, of many plants as of few."""

from live.events import Event, Place
from live.ring import Missed, Ring
from live.wishes import wishes_of


def value(plant: int, version: float, *, part: str = "power", organisation_id: int = 1) -> Event:
    return Event(organisation_id, "plant", str(plant), str(plant), part, version, b"{}")


def told(found: Missed) -> list[tuple[str, str, float]]:
    return [(event.key, event.part, event.version) for _, event in found.tiles]


def test_of_chosen_plants_exactly_what_is_newer_is_found_the_newest_first() -> None:
    ring = Ring()
    ring.publish(lists=[], tiles=[value(plant, 1) for plant in range(1, 9)])
    since = ring.position()
    ring.publish(lists=[], tiles=[value(2, 2), value(3, 2), value(9, 1, organisation_id=2)])
    ring.publish(lists=[], tiles=[value(2, 3, part="mode"), value(5, 2)])

    found = ring.missed(1, since, upto=ring.position(), plants={"1", "2", "5", "9", "77"})

    assert told(found) == [("2", "mode", 3), ("5", "power", 2), ("2", "power", 2)] or told(found) == [
        ("5", "power", 2), ("2", "mode", 3), ("2", "power", 2),
    ]  # fmt: skip
    every = ring.missed(1, since, upto=ring.position())
    assert set(told(every)) == {*told(found), ("3", "power", 2)}


def test_of_chosen_plants_only_their_values_are_looked_at() -> None:
    class Counted(dict[tuple[str, str], tuple[Place, Event]]):
        looks = 0

        def get(self, *key):  # type: ignore[no-untyped-def]
            self.looks += 1
            return super().get(*key)

    ring = Ring()
    since = ring.position()
    ring.publish(lists=[], tiles=[value(plant, 1) for plant in range(1_000)])
    counted = Counted(ring._tiles)
    ring._tiles = counted  # type: ignore[assignment]

    found = ring.missed(1, since, upto=ring.position(), plants={"7", "8"})

    assert sorted(told(found)) == [("7", "power", 1), ("8", "power", 1)]
    assert counted.looks == 2


def test_wishes_name_the_plants_whose_values_they_want() -> None:
    assert wishes_of("plant:12,p13|command").plants == {"12", "13"}
    assert wishes_of("command|alarm").plants == set()
    assert wishes_of("plant").plants is None
