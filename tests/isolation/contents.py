"""What tenants do with what is in their knowledge bases and workflows, and how they read their logs."""

from __future__ import annotations

from hypothesis.stateful import rule

from atrium.audit.v1 import audit_log_pb2
from atrium.knowledge.v1 import document_pb2, search_pb2
from atrium.model.v1 import call_log_pb2
from atrium.workflow.v1 import execution_pb2
from tests.isolation.machine import NAMES, PICKS, SIDES, Machine, picked
from tests.isolation.work import ACTIVE

MOST_SEARCHED = 10
"""Knowledge bases in one search."""


class Contents(Machine):
    """The steps that go on behind their answer. Each waits until nothing of its tenant is under way any more."""

    @rule(side=SIDES, pick=PICKS, text=NAMES)
    def ingest(self, side: int, pick: int, text: str) -> None:
        """A text that only one document of a base can have, and both tenants'."""
        own, knowledge = self.tenants[side], self.server.world.knowledge
        if not (active := self._active(side)):
            return
        base_id = picked(active, pick)
        request = document_pb2.IngestTextRequest(knowledge_base_id=base_id, text=text, info={"title": text})
        if (base_id, text) in own.documents.values():
            assert self.refused(side, knowledge.IngestText, request).reason == "DOCUMENT_EXISTS"
            return
        made = self.call(side, knowledge.IngestText, request).document
        self._settle(side)
        document = self.call(side, knowledge.GetDocument, document_pb2.GetDocumentRequest(id=made.id)).document
        assert document.state == document.STATE_INDEXED, document
        own.documents[made.id] = (base_id, text)

    @rule(side=SIDES, pick=PICKS)
    def start_upload(self, side: int, pick: int) -> None:
        own, knowledge = self.tenants[side], self.server.world.knowledge
        if not (active := self._active(side)):
            return
        base_id = picked(active, pick)
        started = document_pb2.StartUploadRequest(knowledge_base_id=base_id)
        upload_id = self.call(side, knowledge.StartUpload, started).upload.id
        own.uploads.append(upload_id)
        found = self.call(side, knowledge.GetUpload, document_pb2.GetUploadRequest(id=upload_id)).upload
        assert found.knowledge_base_id == base_id

    @rule(side=SIDES, text=NAMES)
    def search(self, side: int, text: str) -> None:
        """All of what has the words is found, and nothing of the other's, which may have the same."""
        own, knowledge = self.tenants[side], self.server.world.knowledge
        if not (bases := sorted(self._active(side))[:MOST_SEARCHED]):
            return
        request = search_pb2.SearchRequest(query={"knowledge_base_ids": bases, "query": text, "top_k": 100})
        found = self.call(side, knowledge.Search, request)
        within = {each: title for each, (base_id, title) in own.documents.items() if base_id in bases}
        results = {result.document_id for result in found.results}
        assert {each for each, title in within.items() if title == text} <= results <= within.keys()
        logs = self.call(side, knowledge.ListQueryLogs, search_pb2.ListQueryLogsRequest(page_size=1)).query_logs
        assert [log.id for log in logs] == [found.query_log_id]
        self._settle(side)

    @rule(side=SIDES, pick=PICKS)
    def execute_workflow(self, side: int, pick: int) -> None:
        own, workflows = self.tenants[side], self.server.world.workflows
        if not own.workflows:
            return
        workflow_id = picked(own.workflows, pick)
        request = execution_pb2.ExecuteWorkflowRequest(workflow_id=workflow_id)
        execution_id = self.call(side, workflows.ExecuteWorkflow, request).execution.id
        self.server.written()
        execution = self.call(
            side, workflows.GetExecution, execution_pb2.GetExecutionRequest(id=execution_id)
        ).execution
        assert execution.state == execution.STATE_COMPLETED, execution
        own.executions[execution_id] = workflow_id

    @rule(side=SIDES)
    def read_the_log(self, side: int) -> None:
        """What it has read of its log stays there, and is in no log but its own."""
        own, other = self.tenants[side], self.tenants[1 - side]
        request = audit_log_pb2.ListAuditLogsRequest(page_size=1000)
        entries = self.call(side, self.server.world.audit.ListAuditLogs, request).audit_logs
        found = {entry.id for entry in entries}
        assert own.entries <= found
        assert not other.entries & found
        own.entries = found

    def _active(self, side: int) -> list[str]:
        """The bases that can be searched, and added to."""
        return [base_id for base_id, (_, state) in self.tenants[side].bases.items() if state == ACTIVE]

    def _settle(self, side: int) -> None:
        """Waits, and notes the calls of models that it took: at most one, as what was embedded once is kept."""
        self.server.written()
        calls = self.recorded(side, call_log_pb2.CallLog.STATUS_SUCCESS)
        assert len(calls) <= 1
        self.tenants[side].calls += calls
