"""Which process is at the other end of a local TCP connection: by the kernel's own tables."""

import os
from collections.abc import Mapping
from pathlib import Path


def owner_of(port: int, *, pids: Mapping[str, int]) -> str:
    """The name of the process whose socket has this local port, '' when it is none of `pids`."""
    inode = _inode(port)
    if inode is None:
        return ""
    link = f"socket:[{inode}]"
    return next((name for name, pid in pids.items() if _has(pid, link)), "")


def _inode(port: int) -> str | None:
    wanted = f"{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(f":{wanted}") and words[9] != "0":
            return words[9]
    return None


def _has(pid: int, link: str) -> bool:
    try:
        return any(os.readlink(entry.path) == link for entry in os.scandir(f"/proc/{pid}/fd"))
    except OSError:  # it ended, or closed a file, while we looked
        return False
