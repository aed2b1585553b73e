"""Executions, task by task: whatever workers die, and whoever does what meanwhile, each task is done once, and each
execution ends.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database, Tx
from server.jobs.runs import Overtaken
from server.kernel.errors import DatabaseUnavailable, FailedPrecondition
from server.llm.port import ModelUnavailable
from server.workflow.definition import Approval, Retry, Wait
from server.workflow.definition import Step as WorkflowStep
from tests.jobs.executing import TOKENS, Executing, chat, transform

Tenants = tuple[UUID, UUID]


async def test_a_run_that_was_overtaken_changes_nothing_but_what_models_used(
    held: Executing, active: Executing
) -> None:
    execution_id = await held.start(chat("a"))
    first, go_on = await held.overtaken(active)

    go_on.set()
    with pytest.raises(Overtaken):
        await first
    await held.background.close(60.0)

    execution = await held.get(execution_id)
    assert (execution.status, execution.output) == ("completed", {"a": {"text": "a 1"}})
    assert (execution.usage.calls, execution.usage.tokens) == (2, 2 * TOKENS)
    await held.check_done_once(execution_id, "a")


async def test_of_two_jobs_for_a_task_one_does_it(active: Executing) -> None:
    execution_id = await active.start(chat("a"), chat("b", "a"))
    await active.does("pause", execution_id, "")
    await active.does("resume", execution_id)  # asks for what is still in the queue
    jobs = await active.take()

    for run in [await active.run(job) for job in jobs]:
        await run
    await active.drain()

    assert len(jobs) == 2
    assert active.actions.asked == {"a": 1, "b": 1}
    await active.check_done_once(execution_id, "a")


async def test_what_a_cancelled_run_comes_to_is_discarded_and_what_it_used_counted(held: Executing, admin: Any) -> None:
    execution_id = await held.start(chat("a"), chat("b", "a"))
    (job,) = await held.take()
    run = await held.run(job)
    go_on = await held.gate.arrival()

    await held.does("cancel", execution_id)
    go_on.set()
    await run

    execution, tasks = await held.get(execution_id), await held.tasks(execution_id)
    assert (execution.status, execution.output, execution.usage.tokens) == ("cancelled", None, TOKENS)
    assert {task["status"] for task in tasks.values()} == {"cancelled"}
    assert (await held.told(execution_id))[-1] == ("execution_cancelled", "")
    assert await admin.fetchval("SELECT count(*) FROM tenant_jobs") == 0


@pytest.mark.parametrize("begun", [False, True])
async def test_a_task_whose_job_was_lost_is_done_all_the_same(begun: bool, held: Executing, active: Executing) -> None:
    execution_id = await held.start(chat("a"))
    if begun:
        (job,) = await held.take()
        run = await held.run(job)
        await held.gate.arrival()
        run.cancel()
    await active.forget_jobs()

    lost = [await active.engine.reconcile(active.tenant_id) for _ in range(2)]
    await active.drain()

    assert lost == [1, 0]
    await active.check_done_once(execution_id, "a")


async def test_an_execution_that_nobody_looks_after_ends_in_time(active: Executing, admin: Any) -> None:
    waits = WorkflowStep("asked", Approval("Well?"))
    running = await active.start(waits)
    paused = await active.start(waits)
    await active.does("pause", paused, "")
    await active.drain()
    await admin.execute("DELETE FROM jobs.pgqueuer")
    await admin.execute("UPDATE workflow_executions SET deadline_at = now()")

    await active.engine.reconcile(active.tenant_id)

    for execution_id in (running, paused):
        execution = await active.get(execution_id)
        assert (execution.status, execution.error_reason) == ("failed", "EXECUTION_TIMED_OUT")


async def test_a_task_that_ends_its_workers_fails(active: Executing, admin: Any) -> None:
    execution_id = await active.start(chat("a"))
    (job,) = await active.take()

    await (await active.run(job, attempts=5))

    execution = await active.get(execution_id)
    assert (execution.status, execution.error_reason) == ("failed", "TASK_LOST")
    assert not active.actions.asked
    counts = await admin.fetchrow("SELECT execution_count, success_count, failure_count FROM workflows")
    assert tuple(counts) == (1, 0, 1)


async def test_a_task_whose_job_was_put_aside_fails(held: Executing, active: Executing, admin: Any) -> None:
    step = chat("a", on_failure="continue")
    execution_id = await held.start(step, transform("after", "steps.a.state", "a"))
    (job,) = await held.take()
    run = await held.run(job)
    await held.gate.arrival()
    run.cancel()
    await admin.execute("UPDATE tenant_jobs SET status = 'aside'")

    lost = [await active.engine.reconcile(active.tenant_id) for _ in range(2)]
    await active.drain()

    assert lost == [1, 0]
    assert (await active.tasks(execution_id))["a", 0]["error_reason"] == "TASK_LOST"
    assert (await active.get(execution_id)).output == {"after": "failed"}
    assert await admin.fetchval("SELECT count(*) FROM tenant_jobs") == 0


async def test_a_timeout_of_something_else_is_not_told_as_the_steps_own(active: Executing) -> None:
    active.actions.wrong = TimeoutError("a connection's")
    execution_id = await active.start(chat("a", timeout=3_000.0))

    await active.drain()

    assert (await active.get(execution_id)).error_reason == "INTERNAL"
    assert active.actions.asked["a"] == 1


async def test_what_is_to_be_tried_again_is_begun_when_it_is_due_and_once(active: Executing, admin: Any) -> None:
    execution_id = await active.start(chat("a", retry=Retry(3, 60.0)))
    await active.does("pause", execution_id, "")
    await active.does("resume", execution_id)
    first, stray = await active.take()
    active.actions.wrong = ModelUnavailable(1.0)
    await (await active.run(first))
    active.actions.wrong = None

    await (await active.run(stray))
    await active.look()
    early = await active.take()
    await admin.execute("UPDATE workflow_tasks SET not_before = now()")
    await asyncio.gather(*[active.engine.look(active.tenant_id, execution_id) for _ in range(5)])
    due = await active.take()
    for job in due:
        await (await active.run(job))

    assert (early, len(due), active.actions.asked["a"]) == ([], 1, 2)
    await active.check_done_once(execution_id, "a")


async def test_a_task_whose_worker_died_while_its_execution_was_paused_is_done_when_it_is_resumed(
    held: Executing, active: Executing
) -> None:
    execution_id = await held.start(chat("a"))
    (job,) = await held.take()
    run = await held.run(job)
    await held.gate.arrival()
    run.cancel()
    await held.does("pause", execution_id, "")
    await (await active.run(job, attempts=2))  # another worker takes the job over

    await active.does("resume", execution_id)
    await active.drain()

    await active.check_done_once(execution_id, "a")


async def test_branches_that_end_at_once_begin_what_follows_them_once(held: Executing, active: Executing) -> None:
    names = [f"branch_{number}" for number in range(8)]
    execution_id = await held.start(*(chat(name) for name in names), chat("after", *names))
    runs = [await held.run(job) for job in await held.take()]
    arrived = [await held.gate.arrival() for _ in runs]

    for go_on in arrived:
        go_on.set()
    await asyncio.gather(*runs)
    following = await active.take()
    for job in following:
        await (await active.run(job))

    assert len(following) == 1
    await active.check_done_once(execution_id, "after")


async def test_what_a_step_comes_to_for_hundreds_of_items_is_in_their_order(active: Executing) -> None:
    step = transform("each", "item * 2.0", for_each="input.numbers")
    execution_id = await active.start(step, output="steps.each.output", numbers=list(range(300)))

    await active.drain()

    execution = await active.get(execution_id)
    assert (execution.status, execution.output) == ("completed", [number * 2 for number in range(300)])


async def test_of_other_steps_is_read_what_is_spoken_of(active: Executing) -> None:
    each = transform("each", "item", "list", for_each="steps.list.output", when="size(steps.list.output) > 0")
    after = transform("after", "steps.each.output + ['last']", "each")
    execution_id = await active.start(transform("list", "['a', 'b']"), each, after)

    await active.drain()

    assert (await active.get(execution_id)).output == {"after": ["a", "b", "last"]}


async def test_items_that_wait_for_the_same_time_are_looked_for_together(active: Executing) -> None:
    step = WorkflowStep("each", Wait(60.0), for_each="input.numbers")
    execution_id = await active.start(step, numbers=list(range(100)))
    await active.drain()

    jobs = await active.look()

    assert jobs < 25
    assert {task["status"] for task in (await active.tasks(execution_id)).values()} == {"waiting"}


async def test_executions_go_on_when_their_workflow_is_purged(active: Executing, admin: Any) -> None:
    execution_id = await active.start(chat("a"), chat("b", "a"))
    await admin.execute("DELETE FROM workflows")

    await active.drain()

    await active.check_done_once(execution_id, "b")


class _Suspended(FailedPrecondition):
    """The tenant {subject} is not active."""


async def test_nothing_is_done_for_a_suspended_tenant_and_goes_on_when_it_is_active(
    active: Executing, admin: Any
) -> None:
    execution_id = await active.start(chat("a", retry=Retry(1)), chat("b", "a"))
    active.tenants.wrong = _Suspended("ada")
    for _ in range(7):
        await active.drain()
        await admin.execute("UPDATE workflow_tasks SET not_before = now() WHERE status = 'ready'")
        await active.look()
    asked = dict(active.actions.asked)
    told, tasks = await active.told(execution_id), await active.tasks(execution_id)

    active.tenants.wrong = None
    await active.drain()

    assert (asked, told) == ({}, [("execution_started", "")])
    assert (tasks["a", 0]["status"], tasks["a", 0]["attempt"]) == ("ready", 0)
    await active.check_done_once(execution_id, "b")


async def test_a_database_that_is_away_is_none_of_a_tasks_tries(active: Executing) -> None:
    execution_id = await active.start(chat("a", retry=Retry(1)))
    (job,) = await active.take()
    active.actions.wrong = DatabaseUnavailable()

    with pytest.raises(DatabaseUnavailable):
        await (await active.run(job))
    active.actions.wrong = None
    await (await active.run(job))

    await active.check_done_once(execution_id, "a")


class _AwayForReaders(Database):
    """A database that does not answer who only looks. `asked`: whether somebody was told so."""

    def __init__(self, database: Database) -> None:
        super().__init__(database._pool)
        self.asked = asyncio.Event()

    def tenant_tx(
        self, tenant_id: UUID, *, durable: bool = True, read_only: bool = False
    ) -> AbstractAsyncContextManager[Tx]:
        if read_only:
            self.asked.set()
            raise DatabaseUnavailable
        return super().tenant_tx(tenant_id, durable=durable)


async def test_a_model_is_waited_for_though_nobody_can_look_whether_it_is_still_wanted(
    active: Executing, database: Database, admin: Any, tenants: Tenants
) -> None:
    away = _AwayForReaders(database)
    held = Executing(away, admin, tenants[0], shut=True)
    execution_id = await active.start(chat("a"))
    (job,) = await held.take()
    run = await held.run(job)
    go_on = await held.gate.arrival()

    await away.asked.wait()
    go_on.set()
    await run

    await active.check_done_once(execution_id, "a")
    assert held.actions.asked == {"a": 1}


@pytest.mark.parametrize("value", ["input['a\\u0000b']", "[[1]].map(x, x)" + ".map(x, [x])" * 40])
async def test_what_cannot_be_kept_fails_the_task(value: str, active: Executing) -> None:
    execution_id = await active.start(transform("a", value))

    await active.drain()

    execution = await active.get(execution_id)
    assert (execution.status, execution.error_reason) == ("failed", "EXPRESSION_FAILED")


async def test_the_output_is_made_even_where_all_was_skipped(active: Executing) -> None:
    execution_id = await active.start(chat("a", when="false"), output="steps.a.state")

    await active.drain()

    assert (await active.get(execution_id)).output == "skipped"


async def test_a_repetition_of_which_nothing_is_left_to_do_ends(active: Executing) -> None:
    steps = transform("a", "1", when="false"), transform("b", "2", "a")
    old = await active.start(*steps)
    await active.drain()

    again = await active.does("replay", old, "b")
    await active.look(seconds=1.0)

    execution = await active.get(again.id)
    assert (execution.status, execution.output) == ("completed", {"b": None})
