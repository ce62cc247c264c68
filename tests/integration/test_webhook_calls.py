"""One call of a webhook's target, with targets on loopback that do what they should not."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import trustme

from docmill_janitor.webhook_calls import MOST_BYTES, Answer, WebhookCaller
from tests.fakes.webhook_receiver import Answer as Reply
from tests.fakes.webhook_receiver import WebhookReceiver

NAME = "hooks.example.org"
PUBLIC = "8.8.8.8"
CONTENT = b'{"a":1}'
#: For how long a target goes on that should be left after a second.
FOR_EVER = 60.0


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def caller() -> WebhookCaller:
    return WebhookCaller(allow_private=True, seconds=60.0)


@pytest.fixture
def impatient() -> WebhookCaller:
    """For targets that take much longer."""
    return WebhookCaller(allow_private=True, seconds=1.0)


def post(caller: WebhookCaller, url: str) -> Answer:
    return caller.post(url, CONTENT, {"Content-Type": "application/json", "webhook-id": "x"})


@contextlib.contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A target that says what it likes, for one connection; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                # The whole request: to close before it was read would reset the connection.
                request = b""
                while not request.endswith(CONTENT) and (part := connection.recv(65536)):
                    request += part
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(60)
        assert not thread.is_alive()


def test_what_arrives_is_what_was_sent(receiver: WebhookReceiver, caller: WebhookCaller) -> None:
    answer = post(caller, f"{receiver.url}?a=b%20c")
    assert (answer.status, answer.error, answer.refused) == (204, None, False)
    (request,) = receiver.received
    assert request.path == "/hook?a=b%20c"
    assert request.body == CONTENT
    assert request.headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_2xx_is_taken(receiver: WebhookReceiver, caller: WebhookCaller, status: int) -> None:
    receiver.answer = Reply(status)
    assert post(caller, receiver.url).error is None


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_anything_else_is_not(
    receiver: WebhookReceiver, caller: WebhookCaller, status: int
) -> None:
    receiver.answer = Reply(status, body=b"why")
    answer = post(caller, receiver.url)
    assert (answer.status, answer.error) == (status, f"The target answered {status}.")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    receiver: WebhookReceiver, caller: WebhookCaller, status: int
) -> None:
    with WebhookReceiver() as inside:
        receiver.answer = Reply(status, {"Location": inside.url})
        answer = post(caller, receiver.url)
        assert answer.status == status
        assert "redirects are not followed" in (answer.error or "")
        assert inside.received == []


def test_no_proxy_is_asked(
    receiver: WebhookReceiver, caller: WebhookCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WebhookReceiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(caller, receiver.url).error is None
        assert proxy.received == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("0", 0.0), ("soon", None), ("-5", None), ("9" * 40, None), ("", None)],
)
def test_retry_after_in_seconds(
    receiver: WebhookReceiver, caller: WebhookCaller, header: str, seconds: float | None
) -> None:
    receiver.answer = Reply(429, {"Retry-After": header})
    assert post(caller, receiver.url).retry_after == seconds


def test_retry_after_as_a_date(receiver: WebhookReceiver, caller: WebhookCaller) -> None:
    receiver.answer = Reply(503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert post(caller, receiver.url).retry_after == 0.0
    receiver.answer = Reply(503, {"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"})
    assert (post(caller, receiver.url).retry_after or 0) > 1e9


def wait_for(event: threading.Event) -> None:
    event.wait(FOR_EVER)


def test_a_target_that_is_silent_is_given_up(impatient: WebhookCaller) -> None:
    over = threading.Event()
    with raw_server(lambda _: wait_for(over)) as url:
        answer = post(impatient, url)
        over.set()
    assert (answer.status, answer.error) == (None, "The target did not answer in time.")
    assert 0.9 < answer.seconds < FOR_EVER / 2


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX-A: "])
def test_a_target_that_drips_is_given_up(impatient: WebhookCaller, beginning: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(beginning)
        until = time.monotonic() + FOR_EVER
        while time.monotonic() < until:
            connection.sendall(b"H")
            time.sleep(0.05)

    with raw_server(drip) as url:
        answer = post(impatient, url)
    assert answer.error == "The target did not answer in time."
    assert answer.seconds < FOR_EVER / 2


def test_a_body_that_never_ends_is_cut_off(caller: WebhookCaller) -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent += connection.send(b"a" * 4096)

    with raw_server(flood) as url:
        answer = post(caller, url)
    assert (answer.status, answer.error) == (200, None)
    # What both systems' buffers hold was sent, too.
    assert MOST_BYTES <= sent < 64 * 1024**2


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "The target did not answer in HTTP."),
        (b"HTTP/1.1 two hundred\r\n\r\n", "The target did not answer in HTTP."),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500, "The target did not answer in HTTP."),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000, "The target did not answer in HTTP."),
        (b"", "The target did not answer in HTTP."),
    ],
)
def test_nonsense_is_a_failure(caller: WebhookCaller, said: bytes, error: str) -> None:
    with raw_server(lambda connection: connection.sendall(said)) as url:
        answer = post(caller, url)
    assert (answer.status, answer.error) == (None, error)


def test_nobody_listens(caller: WebhookCaller) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # so that nobody else listens there meanwhile
        url = f"http://127.0.0.1:{held.getsockname()[1]}/"
        assert post(caller, url).error == "The target refused the connection."


def test_a_name_that_does_not_resolve() -> None:
    def fails(*_: object) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    caller = WebhookCaller(allow_private=False, resolve=fails)
    assert post(caller, f"https://{NAME}/").error == "The host's name could not be resolved."


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["::ffff:127.0.0.1"], ["10.1.2.3"], ["::1"], []],
)
def test_a_name_inside_is_not_called(receiver: WebhookReceiver, addresses: list[str]) -> None:
    caller = WebhookCaller(allow_private=False, resolve=lambda *_: addresses)
    answer = post(caller, f"https://{NAME}:{receiver.port}/")
    assert answer.refused
    assert answer.error == "The host is not, or not only, on the public internet."
    assert receiver.received == []


def test_an_answer_that_changes_gains_nothing(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a name server that says a public address first, and loopback from then on
    answers = [[PUBLIC], ["127.0.0.1"]]
    asked: list[str] = []
    connected: list[str] = []

    def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    caller = WebhookCaller(allow_private=False, resolve=resolve)
    url = f"https://{NAME}:{receiver.port}/"
    # When it is called, the address that was checked is the one that is connected to
    assert not post(caller, url).refused
    assert (asked, connected) == ([NAME], [PUBLIC])
    # And the next attempt checks again
    assert post(caller, url).refused
    assert connected == [PUBLIC]
    assert receiver.received == []


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("certified", [NAME, "other.example.org"])
def test_tls_goes_by_the_name_and_not_by_the_address(authority: trustme.CA, certified: str) -> None:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(certified).configure_cert(server)
    authority.configure_trust(client)
    names: list[str | None] = []
    server.sni_callback = lambda _, name, __: names.append(name)
    with WebhookReceiver(server) as receiver:
        caller = WebhookCaller(
            allow_private=True, resolve=lambda *_: ["127.0.0.1"], tls=client, seconds=60.0
        )
        answer = post(caller, f"https://{NAME}:{receiver.port}/hook")
        assert names == [NAME]
        if certified == NAME:
            assert answer.error is None
            assert receiver.received[0].headers["Host"] == f"{NAME}:{receiver.port}"
        else:
            assert "certificate is not valid" in (answer.error or "")
            assert receiver.received == []


def test_an_authority_that_nobody_knows_is_not_trusted(authority: trustme.CA) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    with WebhookReceiver(server) as receiver:
        answer = post(WebhookCaller(allow_private=True), receiver.url)
        assert "certificate is not valid" in (answer.error or "")
        assert receiver.received == []


def test_of_several_addresses_the_first_that_answers_is_taken(receiver: WebhookReceiver) -> None:
    # Given that nobody listens at the first one
    caller = WebhookCaller(allow_private=True, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
    url = receiver.url.replace("127.0.0.1", "localhost")
    assert post(caller, url).error is None
