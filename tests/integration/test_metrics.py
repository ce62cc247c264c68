"""The metrics of all processes, scraped from the processes, after work that is known."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from docmill_dev import roles
from docmill_dev.stack import Stack
from tests import documents
from tests.docs.test_metrics import documented
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.integration.fleet import COMMANDS, Caller, Fleet, Scrape, fleet, wait
from tests.owners import prose

Wait = Callable[..., None]
ROUTE = "/v1/files/<uuid:file_id>"


@dataclass
class Flow:
    """What was done, and what each process then says."""

    fleet: Fleet
    emulator: GeminiEmulator
    callers: list[Caller] = field(default_factory=list)
    scrapes: dict[str, Scrape] = field(default_factory=dict)
    chunks: int = 0  #: of the files that completed
    chunks_of_bob: int = 0  #: the text that another owner had before

    def scrape(self) -> None:
        self.scrapes = {name: self.fleet.scrape(name) for name in COMMANDS}


@pytest.fixture(scope="module")
def flow(
    service_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flow]:
    """Two files of one owner, the same text of another, one twice, one that fails; searches."""
    with GeminiEmulator() as emulator:
        environment = {
            **service_environment,
            "REDIS_URL": service_environment["REDIS_URL"].rpartition("/")[0] + "/6",
            "GEMINI_API_KEY": emulator.api_key,
            "GEMINI_BASE_URL": emulator.base_url,
            "API_WORKERS": "2",
            "DISPATCH_SECONDS": "1",
            "RATE_LIMITS": "true",
            "RATE_LIMIT_LOGIN_EMAIL": "2/day",
            # Once, by hand; the schedule's turn would come between 4:15 and 5:15
            "PRUNE_HISTORY_CRON": "0 0 29 2 *",
        }
        with fleet(environment, tmp_path_factory.mktemp("logs")) as running:
            running.start(*COMMANDS)
            done = Flow(running, emulator)
            _work(done, environment["DATABASE_URL"])
            yield done


def _work(flow: Flow, database_url: str) -> None:
    ada = Caller(flow.fleet, "ada@example.org").register()
    bob = Caller(flow.fleet, "bob@example.org").register()
    flow.callers += [ada, bob]
    pdf = documents.pdf("One page of text.", "And another page of it.")

    def ingest(caller: Caller, content: bytes, name: str) -> str:
        file_id = caller.upload(content, name)
        wait(lambda: caller.ended(file_id), name)
        return file_id

    completed = [ingest(ada, prose(20), "long.txt"), ingest(ada, pdf, "short.pdf")]
    again = ingest(bob, prose(20), "long.txt")
    flow.chunks_of_bob = int(bob.file(again)["progress"]["chunk_count"])
    flow.chunks = flow.chunks_of_bob
    flow.chunks += sum(int(ada.file(each)["progress"]["chunk_count"]) for each in completed)
    assert ada.file(ingest(ada, pdf, "copy.pdf"))["status"] == "DUPLICATE"
    failed = ada.file(ingest(ada, documents.encrypted_pdf(), "locked.pdf"))
    assert failed["failure"]["reason"] == "encrypted", failed

    flow.emulator.control(fail_next=1, fail_status=429, retry_info_seconds=0.2)
    ingest(ada, b"A text that has to wait.", "late.txt")
    flow.chunks += 1

    for mode in ("hybrid", "semantic", "text", "text"):
        assert ada.call("POST", "/v1/search", {"query": "reading", "mode": mode}).status == 200
    flow.emulator.control(fail_next=1, fail_status=503, retry_info_seconds=None)
    degraded = ada.call("POST", "/v1/search", {"query": "reading", "mode": "hybrid"}).json()
    assert degraded["degraded"]

    # The emulator's answer names no passage, so that passages are quoted, or none is
    for question in ("page of text", "zxqv"):
        messages = [{"role": "user", "content": question}]
        answer = ada.call("POST", "/v1/chat", {"messages": messages}).json()
        assert answer["notice"]["code"] == "not_grounded"

    wrong = {"email": ada.email, "password": "wrong, wrong, wrong"}
    assert flow.fleet.call("POST", "/v1/auth/login", wrong).status == 401
    assert flow.fleet.call("POST", "/v1/auth/login", wrong).status == 429
    events = ada.call("GET", f"/v1/files/{completed[0]}/events")
    assert (events.status, b"COMPLETED" in events.data) == (200, True)
    used = {"refresh_token": bob.tokens["refresh_token"]}
    assert flow.fleet.call("POST", "/v1/auth/refresh", used).status == 200
    assert flow.fleet.call("POST", "/v1/auth/refresh", used).status == 401
    assert flow.fleet.call("GET", "/no/such/place/hortensia").status == 404
    assert flow.fleet.call("BREW", "/v1/files").status == 405
    roles.grant(database_url, ada.email, "admin")
    asked = ada.call("POST", "/v1/admin/jobs/prune_history/runs", {})
    assert asked.status == 202, asked.data
    wait(
        lambda: flow.fleet.scrape("janitor").value("docmill_job_runs_total", job="prune_history"),
        "the job",
    )
    # A process counts what it has done after it has done it
    wait(
        lambda: flow.fleet.scrape("ingest").value("docmill_ingest_files_total") == 6,
        "the files are counted",
    )
    flow.scrape()


def test_the_processes_have_what_the_document_names_and_nothing_else(flow: Flow) -> None:
    scraped: dict[str, str] = {}
    for scrape in flow.scrapes.values():
        scraped |= scrape.types()
    assert scraped == {name: kind for name, (kind, _) in documented().items()}


def test_every_process_says_what_it_is(flow: Flow) -> None:
    services = {
        name: scrape.families["docmill_build_info"].samples[0].labels["service"]
        for name, scrape in flow.scrapes.items()
    }
    assert services == {
        "api": "api",
        "ingest": "ingest",
        "scheduler": "janitor-scheduler",
        "janitor": "janitor-worker",
    }


def test_ingest_counts_what_it_did(flow: Flow) -> None:
    value = flow.scrapes["ingest"].value
    files = "docmill_ingest_files_total"
    assert value(files, outcome="completed", reason="") == 4
    assert value(files, outcome="duplicate") == 1
    assert value(files, outcome="failed", reason="encrypted") == 1
    assert value(files) == 6
    assert value("docmill_ingest_chunks_total") == flow.chunks
    assert value("docmill_ingest_pages_total") == 2
    assert value("docmill_ingest_file_duration_seconds_count") == 4
    assert value("docmill_ingest_stage_duration_seconds_count", stage="fetch") == 6
    assert value("docmill_ingest_stage_duration_seconds_count", stage="store") == 5
    assert value("docmill_ingest_extractions_total") == 5
    assert value("docmill_ingest_fetched_bytes_total") > 2 * len(prose(20))


def test_the_stages_add_up_to_the_files(flow: Flow) -> None:
    value = flow.scrapes["ingest"].value
    stages = value("docmill_ingest_stage_duration_seconds_sum")
    files = value("docmill_ingest_file_duration_seconds_sum")
    # Files that did not complete are in the first alone, a pause of the machine may be in either
    assert files * 0.7 - 3 < stages < files + 30
    # One was told to wait, with its file in hand
    assert value("docmill_ingest_stage_duration_seconds_sum", stage="embed") >= 0.2


def test_the_second_owner_of_a_text_hits_the_cache(flow: Flow) -> None:
    value = flow.scrapes["ingest"].value
    hits = value("docmill_embedding_cache_lookups_total", result="hit")
    misses = value("docmill_embedding_cache_lookups_total", result="miss")
    assert hits == flow.chunks_of_bob > 1
    assert hits + misses == flow.chunks
    labels = {"provider": "gemini", "operation": "embed_documents"}
    assert value("docmill_provider_texts_total", **labels) == misses
    assert value("docmill_provider_tokens_total", **labels) > misses


def test_provider_calls_by_outcome_and_the_pause_after_a_429(flow: Flow) -> None:
    value = flow.scrapes["ingest"].value
    calls = "docmill_provider_calls_total"
    assert value(calls, operation="embed_documents", outcome="success") == 3
    assert value(calls, operation="embed_documents", outcome="rate_limited") == 1
    assert value("docmill_provider_call_duration_seconds_count") == 4
    assert value("docmill_provider_pauses_total", provider="gemini") == 1
    assert value("docmill_provider_quota_waits_total", kind="held") >= 1
    assert 0.1 < value("docmill_provider_quota_wait_seconds_total") < 10
    value = flow.scrapes["api"].value
    assert value(calls, operation="embed_query", outcome="success") == 4
    assert value(calls, operation="answer", outcome="success") == 2
    assert value(calls, operation="embed_query", outcome="unavailable") == 1


def test_the_api_counts_by_route_and_never_by_path(flow: Flow) -> None:
    scrape = flow.scrapes["api"]
    requests = "docmill_http_requests_total"
    assert scrape.value(requests, route="/v1/auth/register", method="POST", status="201") == 2
    assert scrape.value(requests, route=f"{ROUTE}/confirm", status="202") == 6
    assert scrape.value(requests, route="none", method="GET", status="404") == 1
    assert scrape.value(requests, method="other", status="405") == 1
    assert scrape.value("docmill_http_request_duration_seconds_count") == scrape.value(requests)
    assert "hortensia" not in scrape.text
    assert "BREW" not in scrape.text
    for caller in flow.callers:
        assert caller.email not in scrape.text


def test_the_api_counts_searches_logins_and_uploads(flow: Flow) -> None:
    value = flow.scrapes["api"].value
    parts = "docmill_search_duration_seconds_count"
    modes = ("hybrid", "semantic", "text")
    assert [value(parts, mode=mode, phase="database") for mode in modes] == [4, 1, 2]
    assert [value(parts, mode=mode, phase="embed") for mode in modes] == [4, 1, 0]
    assert value("docmill_searches_degraded_total") == 1
    assert value("docmill_chats_total", answered_by="quotes") == 1
    assert value("docmill_chats_total", answered_by="nothing") == 1
    assert value("docmill_login_failures_total", kind="password") == 1
    assert value("docmill_login_failures_total", kind="refresh_token_reused") == 1
    assert value("docmill_rate_limited_total", limit="login_email") == 1
    assert value("docmill_event_streams_ended_total", reason="finished") == 1
    assert value("docmill_event_streams") == 0
    assert value("docmill_uploads_total", step="reserved") == 6
    assert value("docmill_uploads_total", step="confirmed") == 6
    reserved = value("docmill_upload_bytes_total", step="reserved")
    assert reserved == value("docmill_upload_bytes_total", step="confirmed") > 2 * len(prose(20))


def test_the_scheduler_knows_what_waits(flow: Flow, eventually: Wait) -> None:
    def files() -> dict[str, float]:
        scrape = flow.fleet.scrape("scheduler")
        return {
            each.labels["status"]: each.value for each in scrape.families["docmill_files"].samples
        }

    # What it says is up to 15 s old
    expected = {"COMPLETED": 4, "DUPLICATE": 1, "FAILED": 1}
    eventually(lambda: {k: v for k, v in files().items() if v} == expected, timeout=90)
    assert files().keys() >= {"PENDING", "QUEUED", "PROCESSING", "DELETING"}
    value = flow.fleet.scrape("scheduler").value
    assert value("docmill_collection_up", source="queues") == 1
    assert value("docmill_collection_up", source="files") == 1
    assert value("docmill_collection_up", source="webhooks") == 1
    assert value("docmill_webhook_deliveries_pending") == 0
    assert value("docmill_workers") == 2
    assert value("docmill_queue_dead_letters") == 0
    assert value("docmill_backlog_files") == 0
    eventually(
        lambda: (
            flow.fleet.scrape("scheduler").value(
                "docmill_schedule_slots_total", job="dispatch_due", result="fired"
            )
            > 1
        )
    )


def test_the_janitor_counts_runs(flow: Flow, eventually: Wait) -> None:
    value = flow.scrapes["janitor"].value
    assert value("docmill_job_runs_total", job="prune_history", result="done") == 1

    def each_has_a_duration() -> bool:
        """It goes on running: a scrape may come between the counting of the two."""
        now = flow.fleet.scrape("janitor").value
        runs = now("docmill_job_runs_total", job="dispatch_due", result="done")
        return runs > 1 and runs == now("docmill_job_duration_seconds_count", job="dispatch_due")

    eventually(each_has_a_duration)


def test_an_api_counts_the_requests_of_all_its_workers(flow: Flow, eventually: Wait) -> None:
    def ask(_: int) -> int:
        # On a connection of its own: a connection stays with one worker.
        return int(flow.fleet.call("GET", "/healthz", Connection="close").status)

    def counted() -> float:
        return flow.fleet.scrape("api").value("docmill_http_requests_total", route="/healthz")

    def workers() -> set[int]:
        return {each.pid for each in psutil.Process(flow.fleet["api"].pid).children()}

    before, first = counted(), workers()
    assert len(first) == 2
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {200}
    eventually(lambda: counted() == before + 40)
    # When both are replaced, what they counted stays
    for pid in first:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: len(workers()) == 2 and not workers() & first)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(20))) == {200}
    eventually(lambda: counted() == before + 60)


def test_the_directory_of_an_api_goes_with_it(
    service_environment: dict[str, str], tmp_path: Path, eventually: Wait
) -> None:
    def directories() -> set[Path]:
        # Files in one go: a directory of another api may go between being found and being read.
        return {each.parent for each in Path("/dev/shm").glob(f"docmill-metrics-*/*_{api.pid}.db")}

    with fleet(service_environment, tmp_path / "logs") as running:
        running.start("api")
        api = running["api"]
        assert len(directories()) == 1
        api.send(signal.SIGTERM)
        eventually(lambda: api.exit_code == 0)
        assert directories() == set()


def test_a_scrape_is_quick_and_says_what_is_missing_while_redis_is_away(
    service_environment: dict[str, str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    elsewhere = {"DATABASE_URL": "postgresql://elsewhere/x", "S3_ENDPOINT": "http://elsewhere"}
    with (
        Stack(tmp_path_factory.mktemp("valkey"), environ=elsewhere) as stack,
        fleet(service_environment, tmp_path / "logs") as running,
    ):
        running.start("scheduler", REDIS_URL=stack.environment()["REDIS_URL"])
        stack.valkey.kill()
        scrape = running.scrape("scheduler")
        assert scrape.value("docmill_collection_up", source="queues") == 0
        assert scrape.value("docmill_collection_up", source="files") == 1
        assert scrape.families["docmill_queue_messages"].samples == []
        assert running.get("scheduler", "/livez") == (200, "ok\n")
