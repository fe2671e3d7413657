"""What still runs: the process tree under a process, as it was before a stop."""

import os
from pathlib import Path
from typing import NamedTuple


class ProcessId(NamedTuple):
    """A process id and its start time in clock ticks: the pair is never used twice."""

    pid: int
    started: str


def _fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def process_tree(root: int) -> set[ProcessId]:
    """The process and all its descendants."""
    table = {int(name): _fields(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    members = {root}
    grown = True
    while grown:
        children = {pid for pid, fields in table.items() if fields and int(fields[1]) in members}
        grown = not children <= members
        members |= children
    return {ProcessId(pid, table[pid][19]) for pid in members if table.get(pid)}


def still_running(processes: set[ProcessId]) -> set[ProcessId]:
    """Those that have not ended; a zombie has ended."""
    return {process for process in processes if _alive(process)}


def _alive(process: ProcessId) -> bool:
    fields = _fields(process.pid)
    return bool(fields) and fields[19] == process.started and fields[0] not in "ZX"
