"""The index of commands in doubt holds what is counted on every page, and nothing else."""

from dispatch.models import Command
from dispatch.selectors import DOUBTFUL


def test_the_index_of_commands_in_doubt_holds_the_states_that_are_counted() -> None:
    index = next(one for one in Command._meta.indexes if one.name == "command_doubtful")

    assert dict(index.condition.children)["state__in"] == sorted(state.value for state in DOUBTFUL)
