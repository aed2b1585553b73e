"""How many of the machine's cores are this process's to use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path


def cores(groups: Path = Path("/sys/fs/cgroup"), member_of: Path = Path("/proc/self/cgroup")) -> int:
    """Those that the process may run on, and no more than a container's quota pays for, in whole ones: at least 1.

    `groups`: where Linux shows the control groups, of version 2 or 1; `member_of`: where it says which are this
    process's. Other systems have neither.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # where a process can be kept from cores
    usable = os.cpu_count() or 1 if affinity is None else len(affinity(0))  # noqa: TID251
    return max(1, min([usable, *map(ceil, _quotas(groups, member_of))]))


def _quotas(groups: Path, member_of: Path) -> Iterator[float]:
    """What the groups that the process is in, one within the other, allow of seconds of CPU in a second."""
    with suppress(OSError):
        for line in member_of.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                folder = groups
            elif "cpu" in controllers.split(","):
                folder = groups / "cpu"
            else:
                continue
            # In a container the path may be the machine's, of which it sees its own end alone: as the root.
            for part in ("", *Path(path.lstrip("/")).parts):
                folder /= part
                with suppress(OSError, ValueError):  # there is no such group, or it has no quota: "max"
                    if controllers:
                        quota = int((folder / "cpu.cfs_quota_us").read_text())
                        period = int((folder / "cpu.cfs_period_us").read_text())
                    else:
                        quota, period = map(int, (folder / "cpu.max").read_text().split())
                    if quota > 0 and period > 0:  # version 1 says -1 where there is none
                        yield quota / period
