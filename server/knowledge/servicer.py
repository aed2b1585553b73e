"""The KnowledgeService: converts, calls, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from atrium.knowledge.v1 import chunk_pb2, document_pb2, search_pb2
from atrium.knowledge.v1 import knowledge_base_pb2 as bases_pb
from server.kernel.errors import InvalidRequest
from server.knowledge.convert import bases as convert
from server.knowledge.convert import documents as convert_documents
from server.knowledge.convert import searches as convert_searches
from server.knowledge.service.adding import AddingService
from server.knowledge.service.asking import AskService
from server.knowledge.service.bases import BaseService
from server.knowledge.service.chunks import ChunkService
from server.knowledge.service.documents import DocumentService
from server.knowledge.service.reindexing import ReindexService
from server.knowledge.service.searching import SearchService
from server.knowledge.service.watching import IngestionWatching
from server.rpc.chain import Context
from server.rpc.pages import Pages
from server.rpc.wire import deletion


class KnowledgeServicer:
    """Knowledge bases, their documents, and what is found in them."""

    def __init__(
        self,
        bases: BaseService,
        reindexing: ReindexService,
        adding: AddingService,
        documents: DocumentService,
        chunks: ChunkService,
        watching: IngestionWatching,
        searches: SearchService,
        asking: AskService,
        pages: Pages,
    ) -> None:
        self._bases = bases
        self._reindexing = reindexing
        self._adding = adding
        self._documents = documents
        self._chunks = chunks
        self._watching = watching
        self._searches = searches
        self._asking = asking
        self._pages = pages

    async def CreateKnowledgeBase(
        self, request: bases_pb.CreateKnowledgeBaseRequest, context: Context
    ) -> bases_pb.CreateKnowledgeBaseResponse:
        base = await self._bases.create(*convert.new_base(request))
        return bases_pb.CreateKnowledgeBaseResponse(knowledge_base=convert.base(base))

    async def GetKnowledgeBase(
        self, request: bases_pb.GetKnowledgeBaseRequest, context: Context
    ) -> bases_pb.GetKnowledgeBaseResponse:
        base = await self._bases.get(UUID(request.id), deletion(request))
        return bases_pb.GetKnowledgeBaseResponse(knowledge_base=convert.base(base))

    async def ListKnowledgeBases(
        self, request: bases_pb.ListKnowledgeBasesRequest, context: Context
    ) -> bases_pb.ListKnowledgeBasesResponse:
        asked = self._pages.read(request)
        if request.all_tenants:
            page = await self._bases.public_page(asked)
        else:
            page = await self._bases.page(asked, convert.filters(request), deletion(request))
        return bases_pb.ListKnowledgeBasesResponse(
            knowledge_bases=[convert.base(base) for base in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def UpdateKnowledgeBase(
        self, request: bases_pb.UpdateKnowledgeBaseRequest, context: Context
    ) -> bases_pb.UpdateKnowledgeBaseResponse:
        base = await self._bases.update(UUID(request.id), convert.base_changes(request), request.etag)
        return bases_pb.UpdateKnowledgeBaseResponse(knowledge_base=convert.base(base))

    async def ArchiveKnowledgeBase(
        self, request: bases_pb.ArchiveKnowledgeBaseRequest, context: Context
    ) -> bases_pb.ArchiveKnowledgeBaseResponse:
        base = await self._bases.archive(UUID(request.id), request.etag)
        return bases_pb.ArchiveKnowledgeBaseResponse(knowledge_base=convert.base(base))

    async def ActivateKnowledgeBase(
        self, request: bases_pb.ActivateKnowledgeBaseRequest, context: Context
    ) -> bases_pb.ActivateKnowledgeBaseResponse:
        base = await self._bases.activate(UUID(request.id), request.etag)
        return bases_pb.ActivateKnowledgeBaseResponse(knowledge_base=convert.base(base))

    async def DeleteKnowledgeBase(
        self, request: bases_pb.DeleteKnowledgeBaseRequest, context: Context
    ) -> bases_pb.DeleteKnowledgeBaseResponse:
        await self._bases.delete(UUID(request.id), request.etag)
        return bases_pb.DeleteKnowledgeBaseResponse()

    async def RestoreKnowledgeBase(
        self, request: bases_pb.RestoreKnowledgeBaseRequest, context: Context
    ) -> bases_pb.RestoreKnowledgeBaseResponse:
        base = await self._bases.restore(UUID(request.id))
        return bases_pb.RestoreKnowledgeBaseResponse(knowledge_base=convert.base(base))

    async def PurgeKnowledgeBase(
        self, request: bases_pb.PurgeKnowledgeBaseRequest, context: Context
    ) -> bases_pb.PurgeKnowledgeBaseResponse:
        await self._bases.purge(UUID(request.id))
        return bases_pb.PurgeKnowledgeBaseResponse()

    async def ReindexKnowledgeBase(
        self, request: bases_pb.ReindexKnowledgeBaseRequest, context: Context
    ) -> bases_pb.ReindexKnowledgeBaseResponse:
        base = await self._reindexing.reindex(UUID(request.id), convert.remade(request))
        return bases_pb.ReindexKnowledgeBaseResponse(knowledge_base=convert.base(base))

    async def RollbackReindex(
        self, request: bases_pb.RollbackReindexRequest, context: Context
    ) -> bases_pb.RollbackReindexResponse:
        base = await self._reindexing.roll_back(UUID(request.id))
        return bases_pb.RollbackReindexResponse(knowledge_base=convert.base(base))

    async def IngestText(
        self, request: document_pb2.IngestTextRequest, context: Context
    ) -> document_pb2.IngestTextResponse:
        said = convert_documents.described(request.info, "text")
        document = await self._adding.text(UUID(request.knowledge_base_id), said, request.text)
        return document_pb2.IngestTextResponse(document=convert_documents.document(document))

    async def IngestUrl(
        self, request: document_pb2.IngestUrlRequest, context: Context
    ) -> document_pb2.IngestUrlResponse:
        said = convert_documents.described(request.info, "url")
        document = await self._adding.url(UUID(request.knowledge_base_id), said, request.url)
        return document_pb2.IngestUrlResponse(document=convert_documents.document(document))

    async def StartUpload(
        self, request: document_pb2.StartUploadRequest, context: Context
    ) -> document_pb2.StartUploadResponse:
        upload = await self._adding.start(*convert_documents.started(request))
        return document_pb2.StartUploadResponse(upload=convert_documents.upload(upload))

    async def GetUpload(
        self, request: document_pb2.GetUploadRequest, context: Context
    ) -> document_pb2.GetUploadResponse:
        upload = await self._adding.upload(UUID(request.id))
        return document_pb2.GetUploadResponse(upload=convert_documents.upload(upload))

    async def UploadDocument(
        self, requests: AsyncIterator[document_pb2.UploadDocumentRequest], context: Context
    ) -> document_pb2.UploadDocumentResponse:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("part") != "place":
            raise InvalidRequest([("place", "must come in the first message")])
        place = first.place
        document = await self._adding.receive(UUID(place.upload_id), place.offset, _data(requests))
        return document_pb2.UploadDocumentResponse(document=convert_documents.document(document))

    async def RetryDocument(
        self, request: document_pb2.RetryDocumentRequest, context: Context
    ) -> document_pb2.RetryDocumentResponse:
        document = await self._documents.retry(UUID(request.id))
        return document_pb2.RetryDocumentResponse(document=convert_documents.document(document))

    async def GetDocument(
        self, request: document_pb2.GetDocumentRequest, context: Context
    ) -> document_pb2.GetDocumentResponse:
        document = await self._documents.get(UUID(request.id), deletion(request))
        return document_pb2.GetDocumentResponse(document=convert_documents.document(document))

    async def ListDocuments(
        self, request: document_pb2.ListDocumentsRequest, context: Context
    ) -> document_pb2.ListDocumentsResponse:
        page = await self._documents.page(
            UUID(request.knowledge_base_id),
            self._pages.read(request),
            convert_documents.filters(request),
            deletion(request),
        )
        return document_pb2.ListDocumentsResponse(
            documents=[convert_documents.document(document) for document in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def UpdateDocument(
        self, request: document_pb2.UpdateDocumentRequest, context: Context
    ) -> document_pb2.UpdateDocumentResponse:
        values = convert_documents.document_changes(request)
        document = await self._documents.update(UUID(request.id), values, request.etag)
        return document_pb2.UpdateDocumentResponse(document=convert_documents.document(document))

    async def DeleteDocument(
        self, request: document_pb2.DeleteDocumentRequest, context: Context
    ) -> document_pb2.DeleteDocumentResponse:
        await self._documents.delete(UUID(request.id), request.etag)
        return document_pb2.DeleteDocumentResponse()

    async def RestoreDocument(
        self, request: document_pb2.RestoreDocumentRequest, context: Context
    ) -> document_pb2.RestoreDocumentResponse:
        document = await self._documents.restore(UUID(request.id))
        return document_pb2.RestoreDocumentResponse(document=convert_documents.document(document))

    async def PurgeDocument(
        self, request: document_pb2.PurgeDocumentRequest, context: Context
    ) -> document_pb2.PurgeDocumentResponse:
        await self._documents.purge(UUID(request.id))
        return document_pb2.PurgeDocumentResponse()

    async def DownloadDocument(
        self, request: document_pb2.DownloadDocumentRequest, context: Context
    ) -> AsyncIterator[document_pb2.DownloadDocumentResponse]:
        async with aclosing(self._documents.original(UUID(request.id), request.after_seq)) as parts:
            async for part in parts:
                yield convert_documents.part(part)

    async def WatchIngestion(
        self, request: document_pb2.WatchIngestionRequest, context: Context
    ) -> AsyncIterator[document_pb2.WatchIngestionResponse]:
        seq = 0
        async with aclosing(self._watching.watch([UUID(one) for one in request.document_ids])) as events:
            async for event in events:
                seq = event.seq
                yield convert_documents.news(event)
        yield document_pb2.WatchIngestionResponse(seq=seq + 1, ended={})

    async def ListChunks(self, request: chunk_pb2.ListChunksRequest, context: Context) -> chunk_pb2.ListChunksResponse:
        page = await self._chunks.page(UUID(request.document_id), self._pages.read(request))
        return chunk_pb2.ListChunksResponse(
            chunks=[convert_documents.chunk(chunk) for chunk in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def UpdateChunk(
        self, request: chunk_pb2.UpdateChunkRequest, context: Context
    ) -> chunk_pb2.UpdateChunkResponse:
        values = convert_documents.chunk_changes(request)
        chunk = await self._chunks.update(UUID(request.document_id), UUID(request.id), values, request.etag)
        return chunk_pb2.UpdateChunkResponse(chunk=convert_documents.chunk(chunk))

    async def Search(self, request: search_pb2.SearchRequest, context: Context) -> search_pb2.SearchResponse:
        return convert_searches.searched(await self._searches.search(convert_searches.query(request.query)))

    async def Ask(self, request: search_pb2.AskRequest, context: Context) -> AsyncIterator[search_pb2.AskResponse]:
        seq = 0
        async with aclosing(self._asking.ask(convert_searches.question(request))) as events:
            async for event in events:
                seq += 1
                yield convert_searches.answer(seq, event)

    async def ListQueryLogs(
        self, request: search_pb2.ListQueryLogsRequest, context: Context
    ) -> search_pb2.ListQueryLogsResponse:
        page = await self._searches.logs(
            self._pages.read(request), convert_searches.log_filters(request), **convert_searches.log_window(request)
        )
        return search_pb2.ListQueryLogsResponse(
            query_logs=[convert_searches.query_log(log) for log in page.items],
            next_page_token=self._pages.next(request, page),
        )


async def _data(requests: AsyncIterator[document_pb2.UploadDocumentRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise InvalidRequest([("data", "must come in every message but the first")])
        yield request.data
