"""Tasks in processes: every task has an outcome, whatever it does to its worker."""

import concurrent.futures
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from earwitness import parallel
from earwitness.errors import EarwitnessError, NoAudioError, SettingsError, StoreError
from earwitness.parallel import CallPool, Failure, run_tasks


def behave(task: str) -> str:
    name, _, argument = task.partition(" ")
    match name:
        case "exit":
            os._exit(int(argument))
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(float(argument))
        case "compute":
            stop = time.process_time() + float(argument)
            while time.process_time() < stop:
                sum(range(10_000))
        case "hang":  # in C, holding the interpreter lock, deaf to SIGTERM
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ctypes.PyDLL(None).sleep(60)
        case "devour":
            return str(len(bytearray(int(argument))))
        case "no_audio":
            raise NoAudioError("film.mp4: no audio stream")
        case "unforeseen":
            raise UnpicklableError(1, 2)
        case "disk":
            raise StoreError("the disk is full")
        case "pid":
            return str(os.getpid())
        case "environment":
            return os.environ.get(argument, "")
    return task


class UnpicklableError(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a}{b}")


def set_mark() -> None:
    os.environ["EARWITNESS_TEST_MARK"] = "set"


def outcomes_by_task(tasks, **settings):
    settings = {"workers": 2, "timeout_seconds": 30.0, **settings}
    outcomes = list(run_tasks(behave, tasks, **settings))
    assert sorted(outcome.task for outcome in outcomes) == sorted(tasks)
    return {outcome.task: outcome.failure or outcome.value for outcome in outcomes}


def test_every_task_has_one_outcome():
    tasks = [f"say {number}" for number in range(300)]
    assert outcomes_by_task(tasks) == {task: task for task in tasks}


def test_no_tasks():
    assert outcomes_by_task([]) == {}


def test_failures_cost_no_neighbour():
    bad = ["exit 7", "segfault", "kill", "no_audio", "unforeseen", f"devour {2**31}"]
    good = [f"say {number}" for number in range(60)]
    mixed = [*good[:20], *bad[:3], *good[20:40], *bad[3:], *good[40:]]
    found = outcomes_by_task(mixed, memory_limit_bytes=2**30, timeout_seconds=20.0)
    assert {task: found[task] for task in good} == {task: task for task in good}
    assert found["exit 7"] == Failure("crash", "the process that worked on it ended by itself with status 7")
    assert found["segfault"] == Failure("crash", "the process that worked on it was ended by SIGSEGV")
    assert found["kill"].kind == "crash"
    assert "out of memory" in found["kill"].message
    assert found["no_audio"] == Failure("no_audio", "film.mp4: no audio stream")
    assert found["unforeseen"] == Failure("crash", "an error nobody foresaw: UnpicklableError: 12")
    assert found[f"devour {2**31}"].kind == "memory_limit"


def test_hanging_tasks_are_ended():
    started = time.monotonic()
    found = outcomes_by_task(["sleep 60", "hang", "say a", "say b"], timeout_seconds=1.0)
    assert time.monotonic() - started < 25
    expected = Failure("time_limit", "it took longer than the time limit of 1 seconds")
    assert found == {"sleep 60": expected, "hang": expected, "say a": "say a", "say b": "say b"}


def test_processor_time_has_a_limit_of_its_own():
    tasks = ["compute 60", "sleep 1", *(f"compute 0.3{number}" for number in range(2))]
    found = outcomes_by_task(tasks, cpu_limit_seconds=0.5, workers=1)
    expected = Failure("time_limit", "it needed more processor time than the limit of 0.5 seconds")
    assert found == {**{task: task for task in tasks}, "compute 60": expected}


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not say who waits")
def test_a_loaded_machine_makes_nothing_fail():
    """Four processes share one processor, so 0.5 s of it take about 2 s."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(processors)})
    rivals = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        assert outcomes_by_task(["compute 0.5"], workers=1, timeout_seconds=1.0) == {"compute 0.5": "compute 0.5"}
    finally:
        os.sched_setaffinity(0, processors)
        for rival in rivals:
            rival.kill()
            rival.wait()


def test_the_memory_limit_is_beyond_what_the_worker_holds():
    assert outcomes_by_task([f"devour {2**28}"], memory_limit_bytes=2**29)[f"devour {2**28}"] == str(2**28)
    assert outcomes_by_task([f"devour {2**29}"], memory_limit_bytes=2**28)[f"devour {2**29}"].kind == "memory_limit"


def test_the_initializer_runs_in_the_workers():
    assert outcomes_by_task(["environment EARWITNESS_TEST_MARK"], initializer=set_mark) == {
        "environment EARWITNESS_TEST_MARK": "set"
    }
    assert "EARWITNESS_TEST_MARK" not in os.environ


def test_an_error_that_is_not_the_tasks_own_ends_the_work():
    with pytest.raises(StoreError, match="the disk is full"):
        outcomes_by_task(["say a", "disk", "say b"])


def test_tasks_are_taken_as_they_are_needed():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield f"say {len(taken)}"

    with contextlib.closing(run_tasks(behave, endless(), workers=1, timeout_seconds=30.0)) as outcomes:
        for _ in range(10):
            next(outcomes)
    assert len(taken) < 100


def test_a_worker_killed_between_tasks_is_replaced():
    def tasks():
        yield "say a"
        yield "say b"
        time.sleep(0.5)  # both are done by now, the workers idle
        for pid in _children(os.getpid()):
            if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
        yield from (f"say {number}" for number in range(20))

    outcomes = list(run_tasks(behave, tasks(), workers=2, timeout_seconds=30.0))
    assert len(outcomes) == 22
    assert not any(outcome.failure for outcome in outcomes)


def test_workers_that_never_start(monkeypatch):
    monkeypatch.setattr("multiprocessing.spawn._python_exe", b"/bin/false")
    with pytest.raises(EarwitnessError, match="worker processes do not start"):
        outcomes_by_task(["say a"])


@pytest.mark.parametrize("settings", [{"workers": 0}, {"timeout_seconds": 0.0}, {"cpu_limit_seconds": 0.0}])
def test_settings_are_checked_before_work(settings):
    with pytest.raises(SettingsError, match="must be"):
        run_tasks(behave, [], **{"workers": 1, "timeout_seconds": 1.0, **settings})


def test_workers_that_start_too_late_say_nothing(capfd):
    """With more workers than tasks, some still start when all is done."""
    for _ in range(2):
        assert outcomes_by_task(["say a"], workers=6) == {"say a": "say a"}
    assert capfd.readouterr().err == ""


def test_ctrl_c_waits_until_a_worker_is_begun():
    """Another thread may take the signal; then Python's main thread is interrupted, its mask notwithstanding."""
    asked, reached = threading.Event(), []

    def take() -> None:
        asked.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    taker = threading.Thread(target=take)
    taker.start()
    with pytest.raises(KeyboardInterrupt), parallel._interrupts_blocked():  # noqa: PT012 (the end must be reached)
        asked.set()
        taker.join()
        reached.append("the end")
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


PARENT = """
from earwitness.parallel import run_tasks
from test_parallel import behave

if __name__ == "__main__":
    for _ in run_tasks(behave, ["say a", "sleep 60", "sleep 60"], workers=2, timeout_seconds=99.0):
        print("ready", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path, end):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    inherited = os.environ.get("PYTHONPATH", "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), inherited])}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as parent:
        assert parent.stdout.readline() == b"ready\n"
        workers = _children(parent.pid)
        assert len(workers) >= 2
        parent.send_signal(end)
        parent.wait(15)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < deadline, "a worker outlived its parent"
            time.sleep(0.05)


def test_ctrl_c_is_not_seen_by_workers_that_still_import(tmp_path):
    """A terminal sends it to the whole group, however young its members are."""
    command = [sys.executable, "-m", "earwitness", "synth", str(tmp_path / "c"), "--clips", "40", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and len(_children(process.pid)) < 2:
        time.sleep(0.005)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]


def called(pool, task):
    future = pool.start(task)
    concurrent.futures.wait([future])
    outcome = pool.outcome(task, future)
    assert outcome.task == task
    return outcome.failure or outcome.value


def test_single_calls_fail_alone():
    with CallPool(behave, workers=1, timeout_seconds=30.0, cpu_limit_seconds=1.0, memory_limit_bytes=2**28) as pool:
        assert called(pool, "say a") == "say a"
        for task, kind in (("segfault", "crash"), ("compute 9", "time_limit"), ("no_audio", "no_audio")):
            assert called(pool, task).kind == kind
            assert called(pool, "say b") == "say b"
        assert called(pool, f"devour {2**30}").kind == "memory_limit"
        with pytest.raises(StoreError, match="the disk is full"):
            called(pool, "disk")


def test_single_calls_move_to_fresh_workers():
    with CallPool(behave, workers=1, timeout_seconds=30.0, calls_per_worker=2) as pool:
        assert len({called(pool, "pid") for _ in range(6)}) == 3


def test_single_calls_go_on_after_a_worker_ended_idle():
    with CallPool(behave, workers=1, timeout_seconds=30.0) as pool:
        for _ in range(2):
            os.kill(int(called(pool, "pid")), signal.SIGKILL)
            time.sleep(0.5)
            deadline = time.monotonic() + 20
            while isinstance(outcome := called(pool, "say c"), Failure):  # it may be given to the dying one
                assert outcome.kind == "crash"
                assert time.monotonic() < deadline
            assert outcome == "say c"
