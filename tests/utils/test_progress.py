"""Progress: what is told, to whom, and that nothing is silent for long."""

import subprocess
import sys
import textwrap
import threading
import time

import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.utils.progress import Steps, printed, quiet, shown


def test_steps_name_what_runs_and_never_go_back():
    told: list[tuple[str, float | None]] = []
    steps = Steps(lambda text, done: told.append((text, done)), 3)
    with steps.step("compiling mipd"):
        steps.note("a remark")
        with steps.step("compiling pid"):
            pass
    with steps.step("running"):
        pass

    assert told[0] == ("compiling mipd, 1 of 3", 0.0)
    assert ("compiling pid, 2 of 3", 0.0) in told
    assert ("a remark", None) in told
    shares = [done for _, done in told if done is not None]
    assert shares == sorted(shares)
    assert max(shares) < 1.0


def test_steps_of_several_threads_are_all_counted():
    told: list[float] = []
    steps = Steps(lambda text, done: told.append(done) if done is not None else None, 40)

    def work() -> None:
        for _ in range(10):
            with steps.step("work"):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert steps._done == 40
    assert told == sorted(told)


@pytest.mark.long
def test_a_benchmark_says_what_it_compiles_and_ends_with_every_policy():
    told: list[tuple[str, float | None]] = []
    rldd.benchmark(
        "vancomycin", policies=["label", "random"], patients=20, progress=lambda text, done: told.append((text, done))
    )
    texts = [text for text, _ in told]
    assert "compiling label, 1 of 4" in texts
    assert any(text.startswith("compiling random, 2 of 4") for text in texts)
    assert any(text.startswith("running random on 20 patients, 4 of 4") for text in texts)
    assert [text.partition(":")[0] for text, done in told if done is None] == ["label", "random"]


def test_a_pipe_gets_the_remarks_and_no_bar(capsys):
    with printed() as tell:
        tell("half way", 0.5)
        tell("mipd: 200 patients", None)
    assert capsys.readouterr().out == "mipd: 200 patients\n"


def test_a_pipe_is_told_what_takes_long(capsys):
    with printed() as tell:
        tell("compiling mipd, 2 of 4", 0.25)
        time.sleep(2.4)
        tell("running mipd", 0.5)
    assert capsys.readouterr().out == "compiling mipd, 2 of 4 (0:02)\n"


def test_python_shows_nothing_where_nobody_looks(capsys):
    for choice in (True, False):
        with shown(choice) as tell:
            tell("half way", 0.5)
            tell("a remark", None)
        assert tell is quiet
    assert not capsys.readouterr().out


TERMINAL = """
import os, pty, sys, time

pid, master = pty.fork()
if pid == 0:
    from rl_drug_dosage.utils.progress import printed
    with printed() as tell:
        tell("compiling mipd, 2 of 4", 0.25)
        time.sleep(2.2)
        tell("a remark [that] stays", None)
    os._exit(0)
shown = b""
try:
    while chunk := os.read(master, 4096):
        shown += chunk
except OSError:
    pass
sys.stdout.buffer.write(shown)
"""


def test_a_terminal_has_one_bar_whose_clock_moves_during_a_long_step():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(TERMINAL)], capture_output=True, check=True)
    text = done.stdout.decode()
    assert "compiling mipd, 2 of 4" in text
    assert "0:00:01" in text
    assert "0:00:02" in text
    assert "a remark [that] stays" in text
