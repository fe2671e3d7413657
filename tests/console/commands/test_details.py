"""What Voke says of the devices of a batch, and members that no version of ours knows."""

from console.commands.details import detail_lines, result_lines, result_text


def answers(count: int) -> list[dict[str, object]]:
    """Of `count` devices every third was rejected."""
    return [
        {"deviceId": f"B{n}", "status": "REJECTED", "rejectionCode": "DEVICE_FAULT", "message": "cell 4"}
        if n % 3 == 1
        else {"deviceId": f"B{n}", "status": "ACCEPTED", "rejectionCode": None}
        for n in range(count)
    ]


def test_each_of_a_few_devices_has_its_line_with_all_that_voke_said_of_it() -> None:
    assert list(result_lines(answers(2))) == [
        "B0 accepted",
        "B1 rejected: A device reports a fault (cell 4)",
    ]


def test_many_devices_are_told_by_what_became_of_them() -> None:
    assert list(result_lines(answers(7))) == [
        "Accepted: B0, B2, B3, B5, B6",
        "Rejected (A device reports a fault): B1, B4",
    ]


def test_a_headline_counts_what_went_well_and_names_some_of_what_did_not() -> None:
    assert result_text(answers(18)) == (
        "Accepted: 12 devices. Rejected (A device reports a fault): 6 devices, B1, B4, B7, B10, …"
    )
    assert result_text(answers(2)) == "B0 accepted. B1 rejected: A device reports a fault (cell 4)."


def test_an_answer_that_is_no_list_of_devices_says_nothing() -> None:
    assert list(result_lines({"deviceId": "B1"})) == []
    assert list(result_lines(["B1"])) == []


def test_a_member_of_a_later_version_is_shown_as_json() -> None:
    assert list(detail_lines({"limits": {"maxKw": None}, "odd": 1})) == ['limits: {"maxKw": null}', "odd: 1"]
