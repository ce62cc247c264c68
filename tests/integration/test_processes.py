"""The supervisor, with real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from docmill_dev.ports import free_port
from docmill_dev.processes import Processes, ProcessFailed

ENV = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


# Says its child's number; the child ignores SIGTERM.
PARENT = python(
    """
    import subprocess, sys, time
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);" \\
           "print('up', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    print("child", child.pid, flush=True)
    time.sleep(600)
    """
)

SERVER = python(
    """
    import http.server, sys
    from pathlib import Path
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            ready = Path(sys.argv[2]).exists()
            self.send_response(200 if ready else 503)
            self.end_headers()
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
    """
)

SUPERVISOR = """
    import os, sys, threading
    from pathlib import Path
    from docmill_dev.processes import Processes, end_on_signals

    with end_on_signals(), Processes(log_directory=Path(sys.argv[1])) as processes:
        for name in ("one", "two"):
            processes.start(name, sys.argv[2:], env=dict(os.environ), ready_line="child")
        processes.wait_ready()
        for name in ("one", "two"):
            print(processes[name].pid, processes[name].log_tail().split()[-1], flush=True)
        threading.Event().wait()
"""


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(log_directory=tmp_path / "logs") as running:
        yield running


def test_ready_means_that_the_url_answers_with_success(
    processes: Processes, tmp_path: Path
) -> None:
    # Given a server that answers 503 until a file exists
    port, gate = free_port(), tmp_path / "gate"
    url = f"http://127.0.0.1:{port}/"
    web = processes.start("web", [*SERVER, str(port), str(gate)], env=ENV, ready_url=url)

    # Then it is not ready in time, and the message says which
    with pytest.raises(ProcessFailed, match="web was not ready within 1 s"):
        processes.wait_ready(timeout=1)
    assert web.exit_code is None

    # When the file appears, Then it is
    gate.touch()
    processes.wait_ready()


def test_an_early_exit_is_reported_at_once_with_the_end_of_the_log(processes: Processes) -> None:
    processes.start("fine", python("import time; time.sleep(600)"), env=ENV, ready_line="never")
    processes.start("broken", python("import sys; print('no luck'); sys.exit(3)"), env=ENV)
    broken = processes["broken"]
    wait_until(lambda: broken.exit_code is not None)

    begun = time.monotonic()
    with pytest.raises(ProcessFailed) as caught:
        processes.wait_ready(timeout=200)

    assert time.monotonic() - begun < 100
    assert "broken exited with code 3" in str(caught.value)
    assert "no luck" in str(caught.value)
    assert processes.failed() is broken


def test_a_program_that_does_not_exist_is_an_error_at_start(processes: Processes) -> None:
    with pytest.raises(FileNotFoundError):
        processes.start("ghost", ["/no/such/program"], env=ENV)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_stopping_ends_grandchildren_and_is_no_failure(processes: Processes, how: str) -> None:
    parent = processes.start("parent", PARENT, env=ENV, ready_line="child")
    processes.wait_ready()
    grandchild = int(parent.log_tail().split()[-1])
    assert is_alive(grandchild)

    getattr(processes, how)("parent")

    assert not is_alive(parent.pid)
    assert not is_alive(grandchild)
    assert processes.failed() is None


def test_one_that_ignores_the_signal_is_killed_after_the_timeout(processes: Processes) -> None:
    code = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf")
        time.sleep(600)
    """
    deaf = processes.start("deaf", python(code), env=ENV, ready_line="deaf")
    processes.wait_ready()

    processes.stop("deaf", timeout=0.3)

    assert deaf.exit_code == -signal.SIGKILL


def test_a_clean_end_keeps_its_exit_code(processes: Processes) -> None:
    code = """
        import signal, sys, time
        signal.signal(signal.SIGUSR1, lambda *_: sys.exit(5))
        print("up")
        time.sleep(600)
    """
    process = processes.start("polite", python(code), env=ENV, ready_line="up")
    processes.wait_ready()

    processes.stop("polite", signal=signal.SIGUSR1)

    assert process.exit_code == 5


def test_a_restart_is_a_new_process_in_the_same_log(processes: Processes) -> None:
    first = processes.start("parent", PARENT, env=ENV, ready_line="child")
    processes.wait_ready()

    second = processes.restart("parent")
    processes.wait_ready()

    assert second.pid != first.pid
    assert not is_alive(first.pid)
    assert second.log.read_text().count("child") == 2


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    for word in ("first", "second"):
        with Processes(log_directory=tmp_path) as processes:
            processes.start(
                "say",
                python(f"print('{word}'); import time; time.sleep(99)"),
                env=ENV,
                ready_line=word,
            )
            processes.wait_ready()

    assert (tmp_path / "say.log").read_text() == "second\n"
    assert (tmp_path / "say.log.1").read_text() == "first\n"


def test_echoed_lines_carry_the_name_and_no_colour_outside_a_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Processes(log_directory=tmp_path, echo=True) as processes:
        code = "print('hello'); import time; time.sleep(99)"
        processes.start("speaker", python(code), env=ENV, ready_line="hello")
        processes.wait_ready()

    assert "speaker    | hello\n" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_end_of_the_supervisor_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    # Given a supervisor with two processes, whose children ignore SIGTERM
    supervisor = subprocess.Popen(
        [*python(SUPERVISOR), str(tmp_path), *PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENV,
    )
    assert supervisor.stdout is not None
    pids = [int(each) for _ in range(2) for each in supervisor.stdout.readline().split()]
    assert len(pids) == 4
    assert all(is_alive(pid) for pid in pids)

    # When it gets the signal
    supervisor.send_signal(number)
    supervisor.communicate(timeout=100)

    # Then it ends as such a signal ends a program, and nothing is left
    expected = {signal.SIGTERM: 143, signal.SIGHUP: 129}
    assert supervisor.returncode == expected.get(number, -number)
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_a_second_interrupt_does_not_break_off_the_shutdown(tmp_path: Path) -> None:
    # Given a process that takes a while to end, and says when it is asked to
    code = """
        import signal, sys, time
        from pathlib import Path
        asked, go, done = (Path(each) for each in sys.argv[1:])
        def end(*_):
            asked.touch()
            while not go.exists():
                time.sleep(0.01)
            done.touch()
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("child 0")
        time.sleep(600)
    """
    asked, go, done = (tmp_path / name for name in ("asked", "go", "done"))
    supervisor = subprocess.Popen(
        [*python(SUPERVISOR), str(tmp_path), *python(code), str(asked), str(go), str(done)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENV,
    )
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(supervisor.kill)
        assert supervisor.stdout is not None
        assert supervisor.stderr is not None
        assert supervisor.stdout.readline()
        assert supervisor.stdout.readline()

        # When Ctrl-C comes twice
        supervisor.send_signal(signal.SIGINT)
        wait_until(asked.exists)
        supervisor.send_signal(signal.SIGINT)
        lines = iter(supervisor.stderr.readline, "")
        assert any("Still stopping" in line for line in lines)
        go.touch()
        supervisor.communicate(timeout=100)

    # Then the process has ended in its own way
    assert done.exists()
