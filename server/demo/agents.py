"""The chapter on agents: a model that is told what it needs, and finds it."""

from __future__ import annotations

from rich.text import Text

from atrium.knowledge.v1 import document_pb2
from atrium.model.v1 import chat_pb2
from atrium.prompt.v1 import template_pb2, version_pb2
from atrium.workflow.v1 import agent_pb2, agent_run_pb2
from server.demo.library import Shelf
from server.demo.stage import Session, Stage, hold

_PROMPT = "You answer the people of {{ company }} with what the source says, in its words."
_QUESTION = "How many days of paid leave are there a year?"


class Agents:
    """A tenant's helper."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._out = stage.out

    async def chapter(self, session: Session, shelf: Shelf) -> None:
        self._stage.chapter("An agent has a prompt and documents, and answers from them")
        who = {"metadata": session.metadata}
        restore = document_pb2.RestoreDocumentRequest(id=shelf.document_id)
        document = (await self._stage.knowledge.RestoreDocument(restore, **who)).document
        self._out.print(f"  {document.title} is brought back")
        agent = agent_pb2.CreateAgentRequest(
            name="helper",
            model="local-chat",
            prompt_template_id=await self._prompt(session),
            knowledge_base_ids=[shelf.base_id],
            temperature=0,
            max_tokens=40,
        )
        agent_id = (await self._stage.workflows.CreateAgent(agent, **who)).agent.id
        question = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content=_QUESTION)
        run = agent_run_pb2.RunAgentRequest(agent_id=agent_id, messages=[question], variables={"company": "Northwind"})
        self._out.print(f"  {_QUESTION}", style="bold")
        async for event in self._stage.workflows.RunAgent(run, **who):
            match event.WhichOneof("event"):
                case "searched":
                    found = event.searched.sources
                    self._out.print(f"  looks it up, and finds: {', '.join(one.heading for one in found)}\n  ", end="")
                case "delta":
                    self._out.print(Text(event.delta.text.replace("\n", " ")), end="")
        self._out.print()
        hold("twenty-eight" in found[0].content, "the agent finds the right part of the document")
        hold(event.HasField("ended") and not event.ended.error_reason, "the run has an end")
        self._out.print(f"  {event.ended.usage.total_tokens} tokens, on record like any other call")

    async def _prompt(self, session: Session) -> str:
        who = {"metadata": session.metadata}
        made = await self._stage.prompts.CreateTemplate(
            template_pb2.CreateTemplateRequest(name="helper", visibility=template_pb2.VISIBILITY_TENANT), **who
        )
        company = version_pb2.PromptVariable(name="company", type=version_pb2.PromptVariable.TYPE_STRING, required=True)
        version = version_pb2.CreateVersionRequest(template_id=made.template.id, text=_PROMPT, variables=[company])
        await self._stage.prompts.CreateVersion(version, **who)
        return str(made.template.id)
