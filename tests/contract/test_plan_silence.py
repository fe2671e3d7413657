"""Planned days while answers stay away or come late: the cause is named, nothing is sent twice."""

from datetime import timedelta

from dispatch.models import CommandEvent, Diagnosis, OutboundMessage
from dispatch.services.retracting import retract
from dispatch.states import State
from schedules.models import SlotRun
from schedules.policy import current_schedule_policy
from tests.contract.conftest import MakePlans
from tests.contract.plans_told import MODE
from tests.contract.plans_world import LEAD, QUARTER, TICKS, ZONE
from tests.factories import OPERATOR
from voke_sim.faults import FaultKind, FaultRule, OfflineAck

CAUSES = {
    "KNOWN_TO_VOKE": lambda site: FaultRule(
        kind=FaultKind.DROP, site=site, families=("event.command", "event.execution")
    ),
    "UNKNOWN_TO_VOKE": lambda site: FaultRule(kind=FaultKind.SWALLOW, site=site),
    "CLOCK_SKEW": lambda _site: FaultRule(kind=FaultKind.CLOCK_SKEW, skew_s=400.0),
    "SITE_OFFLINE": lambda site: FaultRule(kind=FaultKind.OFFLINE, site=site, offline_ack=OfflineAck.DELAYED),
    "LINK_SILENT": lambda _site: FaultRule(kind=FaultKind.DROP, families=("event",)),
    "RETURNED": lambda _site: FaultRule(kind=FaultKind.UNBOUND),
}
"""What keeps the answer to a slot's setpoint away, by the cause that the platform must name."""
LOOKS_S = (65, 80, 110, 140, 200, 260, 300)
"""When it is looked for, in seconds after the setpoint was sent."""


def command_words(command):
    """The states that a command went through."""
    events = CommandEvent.objects.filter(command=command, verdict="APPLIED").order_by("pk")
    return list(events.values_list("word", flat=True))


def test_whatever_keeps_an_answer_away_is_named_nothing_is_sent_again_and_the_next_slot_goes_out(
    make_plans: MakePlans, settings
):
    """One cause at the beginning of each slot; it is gone before the next one is sent."""
    settings.SITE_REPORT_EVERY_S = 0
    first_turns = []
    with make_plans(rest=True, ticks=(*TICKS, "diagnosis_rest")) as world:
        world.plan(*[20.0 + number for number in range(len(CAUSES) + 1)])
        for number, (expected, fault) in enumerate(CAUSES.items()):
            begins = world.instant("06:00") + number * QUARTER
            world.run_until(begins - timedelta(minutes=1))
            rule = fault(str(world.ours.voke_uuid))
            mark = world.faults.add(rule)
            world.wait_for_intake(rule.kind)
            world.run_until(begins - LEAD)
            run = SlotRun.objects.get(plant=world.ours, slot__start_at=begins, turn=1)
            for seconds in LOOKS_S:
                world.go_to(begins - LEAD + timedelta(seconds=seconds), vouched=True)
                if Diagnosis.objects.filter(command_id=run.command_id, cause=expected).exists():
                    break
            first_turns.append(run.command)
            world.faults.remove(mark)
            world.wait_for_intake(None)
        world.run_until(begins + QUARTER)

        causes = dict(Diagnosis.objects.values_list("command_id", "cause"))
        assert [causes.get(command.pk) for command in first_turns] == list(CAUSES)
        assert [command.messages.count() for command in first_turns] == [1] * len(CAUSES)
        messages = OutboundMessage.objects.filter(command__plant=world.ours)
        assert set(messages.values_list("attempts", flat=True)) == {1}
        assert world.steps(world.ours)[-1] == (
            f"{(begins + QUARTER).astimezone(ZONE):%H:%M:%S}",
            20.0 + len(CAUSES),
        )


def test_a_cancellation_that_crosses_its_acknowledgement_ends_the_target_and_the_answer_still_counts(
    make_plans: MakePlans,
):
    with make_plans() as world:
        late = FaultRule(kind=FaultKind.DELAY, families=("event.command", "event.execution"), delay_s=30.0)
        mark = world.faults.add(late)
        world.go_to("06:00")
        command = world.send(world.ours, world.import_of(20.0, until="06:15"))
        world.go_to("06:00")
        world.go_to("06:00:10")
        taken_back = retract(
            command_id=command.pk,
            actor=OPERATOR,
            reason="scenario",
            at=world.now,
            policy=current_schedule_policy().dispatch,
        )
        world.go_to("06:00:10")
        world.faults.remove(mark)
        before = command_words(command)
        world.go_to("06:00:45")
        world.go_to("06:02")

        assert world.steps(world.ours) == [("06:00:00", 20.0), ("06:00:10", None)]
        assert State.ACCEPTED not in before
        assert State.ACCEPTED in command_words(command)
        assert taken_back is not None
        assert taken_back.by_command.kind == MODE
        taken_back.by_command.refresh_from_db()
        assert taken_back.by_command.state == State.COMPLETED
        assert [one.messages.count() for one in (command, taken_back.by_command)] == [1, 1]
