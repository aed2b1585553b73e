"""The cores of a process are those that it may run on and that its container pays for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.kernel.cores import cores


@pytest.fixture(autouse=True)
def _eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may run on eight of the machine's cores."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)


def _cores(folder: Path, membership: str | None, files: dict[str, str]) -> int:
    """The cores where Linux says this of the process's groups, and shows these files of groups."""
    member_of = folder / "membership"
    if membership is not None:
        member_of.write_text(membership)
    for name, content in files.items():
        file = folder / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return cores(folder / "groups", member_of)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        pytest.param(None, {}, 8, id="no groups"),
        pytest.param("0::/\n", {}, 8, id="the root"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, 8, id="no quota"),
        pytest.param("0::/\n", {"cpu.max": "200000 100000\n"}, 2, id="two cores"),
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 2, id="one and a half"),
        pytest.param("0::/\n", {"cpu.max": "10000 100000\n"}, 1, id="a tenth"),
        pytest.param("0::/\n", {"cpu.max": "6400000 100000\n"}, 8, id="more than there are"),
        pytest.param("0::/\n", {"cpu.max": "rubbish\n"}, 8, id="rubbish"),
        pytest.param("0::/pod/app\n", {"pod/app/cpu.max": "300000 100000\n"}, 3, id="a group of its own"),
        pytest.param(
            "0::/pod/app\n",
            {"pod/cpu.max": "200000 100000\n", "pod/app/cpu.max": "max 100000\n"},
            2,
            id="the group around it",
        ),
        pytest.param(
            "0::/pod/app\n",
            {"pod/cpu.max": "500000 100000\n", "pod/app/cpu.max": "400000 100000\n"},
            4,
            id="the least of them",
        ),
        pytest.param("0::/machines/app\n", {"cpu.max": "200000 100000\n"}, 2, id="the machine's path in a container"),
        pytest.param(
            "3:cpuset:/\n2:cpu,cpuacct:/app\n0::/\n",
            {"cpu/app/cpu.cfs_quota_us": "250000\n", "cpu/app/cpu.cfs_period_us": "100000\n"},
            3,
            id="version 1",
        ),
        pytest.param(
            "2:cpu,cpuacct:/\n0::/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            8,
            id="version 1 without a quota",
        ),
        pytest.param(
            "2:cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8, id="another"
        ),
    ],
)
def test_a_quota_is_counted_in_whole_cores(
    tmp_path: Path, membership: str | None, files: dict[str, str], expected: int
) -> None:
    assert _cores(tmp_path, membership, files) == expected


def test_where_a_process_may_run_on_every_core_they_are_the_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")

    assert _cores(tmp_path, None, {}) == 64


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a system that keeps no process from any core")
def test_what_the_system_says_of_this_process_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, before)
