"""The queue of jobs against workers that misbehave in every way: each failure is one sentence, and the rest goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from addon.exchange.errors import LikenessError
from addon.exchange.worker_messages import MAX_LINE_BYTES, PhotoRequest
from addon.worker.backend_environment import BackendEnvironment
from addon.worker.job_queue import JobState, Patience, WorkerState
from addon.worker.message_pipe import MessagePipe
from addon.worker.worker_process import WorkerProcess
from tests.worker_programs import OBEDIENT, USUAL, Watched, fake_environment

REQUEST = PhotoRequest("/photo.jpg", "/package")
IMPATIENT = Patience(cancel_s=0.5, silence_s=0.5, start_silence_s=1.0)
# each does a first job wrongly, and the jobs of a second worker well
ONCE = """
from pathlib import Path
mark = Path(__file__).with_name("mark")
if mark.exists():
    {obedient}
mark.touch()
say(**READY)
job = hear()["job"]
"""


@contextmanager
def watched(tmp_path: Path, program: str, patience: Patience = USUAL) -> Iterator[Watched]:
    environment = fake_environment(tmp_path / "fake", program)
    with Watched(environment, tmp_path / "log.txt", patience) as queue:
        yield queue


def wrong_once(wrong: str) -> str:
    obedient = OBEDIENT.strip().replace("\n", "\n    ")
    return ONCE.format(obedient=obedient) + wrong


def one_sentence(error: LikenessError) -> str:
    assert error.message.endswith(".")
    assert "\n" not in error.message
    assert error.hint.endswith(".")
    return error.message


def test_jobs_are_done_in_order_by_one_warm_worker(tmp_path: Path):
    with watched(tmp_path, OBEDIENT) as w:
        jobs = [w.queue.add(REQUEST, f"photo {number}") for number in range(5)]
        assert [job.state for job in w.queue.jobs] == [JobState.RUNNING] + [JobState.WAITING] * 4
        w.finish()
        assert w.ended == jobs
        assert all(job.state is JobState.DONE and job.result.package == "/made" for job in jobs)
        w.queue.add(REQUEST, "later")
        w.finish()
        assert len(w.workers) == 1
        assert w.queue.worker_info.device == "cpu"


def test_nothing_is_started_before_there_is_work(tmp_path: Path):
    with watched(tmp_path, OBEDIENT) as w:
        assert not w.queue.poll()
        assert not w.workers
        assert not w.queue.busy
        assert w.queue.worker_state is WorkerState.STOPPED


def test_progress_reaches_the_job(tmp_path: Path):
    program = """
    say(**READY)
    job = hear()["job"]
    say(type="progress", job=job, stage="fit", text="fitting", fraction=0.25, seconds_left=4.5)
    say(type="progress", job="another", stage="x", text="x", fraction=0.9, seconds_left=0.1)
    hear()
    """
    with watched(tmp_path, program) as w:
        job = w.queue.add(REQUEST, "photo")
        assert job.text
        w.poll_until(lambda: job.stage == "fit")
        w.poll_until(lambda: not w.queue.poll())
        assert (job.text, job.fraction, job.seconds_left) == ("fitting", 0.25, 4.5)


FAULTS = {
    "dies": ("os._exit(3)", "worker_died"),
    "is killed by the system": ("os.kill(os.getpid(), 9)", "worker_died"),
    "prints garbage": ("print('Downloading: 100%', flush=True); time.sleep(60)", "worker_garbage"),
    "prints bytes": ("os.write(1, bytes(range(256)) + b'\\n'); time.sleep(60)", "worker_garbage"),
    "prints without end": (f"os.write(1, b'x' * {2 * MAX_LINE_BYTES}); time.sleep(60)", "worker_garbage"),
    "answers with another result": ("say(type='done', job=job, result={}); time.sleep(60)", "worker_garbage"),
    "hangs": ("time.sleep(60)", "worker_hangs"),
    "closes its output and lives": ("os.close(1); time.sleep(60)", "worker_hangs"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_its_job_and_the_others_are_done(tmp_path: Path, fault: str):
    wrong, code = FAULTS[fault]
    program = wrong_once("say(type='progress', job=job, stage='fit', text='fitting', fraction=0.5)\n" + wrong)
    with watched(tmp_path, program, IMPATIENT) as w:
        bad, last = w.queue.add(REQUEST, "bad"), w.queue.add(REQUEST, "good")
        w.finish()
        assert bad.state is JobState.FAILED
        assert bad.error.code == code
        one_sentence(bad.error)
        assert "Traceback" not in str(bad.error)
        assert last.state is JobState.DONE
        assert w.ended == [bad, last]
        assert len(w.workers) == 2


def test_a_job_that_fails_between_others_keeps_the_worker(tmp_path: Path):
    failing = "say(type='failed', job='2', code='no_face', message='No face.', hint='Another.')"
    program = OBEDIENT.replace("if message[", f"if message['job'] == '2':\n        {failing}\n    elif message[")
    with watched(tmp_path, program) as w:
        good, bad, last = (w.queue.add(REQUEST, "photo") for _ in range(3))
        w.finish()
        assert [job.state for job in (good, bad, last)] == [JobState.DONE, JobState.FAILED, JobState.DONE]
        assert (bad.error.code, bad.error.message, bad.error.hint) == ("no_face", "No face.", "Another.")
        assert len(w.workers) == 1


def test_a_worker_that_dies_as_it_starts_is_not_started_for_ever(tmp_path: Path):
    program = "sys.exit('ImportError: libsomething.so is not there')"
    with watched(tmp_path, program) as w:
        jobs = [w.queue.add(REQUEST, "photo") for _ in range(2)]
        w.finish()
        assert len(w.workers) == USUAL.starts
        assert w.queue.worker_state is WorkerState.FAILED
        assert all(job.state is JobState.FAILED and "libsomething.so" in one_sentence(job.error) for job in jobs)
        assert w.queue.worker_error is jobs[0].error
        # the user's next try is a try
        w.queue.add(REQUEST, "photo")
        w.finish()
        assert len(w.workers) == 2 * USUAL.starts


def test_a_start_that_fails_now_and_then_is_tried_again(tmp_path: Path):
    program = """
    from pathlib import Path
    marks = len(list(Path(__file__).parent.glob("mark*")))
    Path(__file__).with_name(f"mark{marks}").touch()
    if marks < 2:
        sys.exit(1)
    """
    program = program.replace("\n    ", "\n") + OBEDIENT
    with watched(tmp_path, program) as w:
        job = w.queue.add(REQUEST, "photo")
        w.finish()
        assert job.state is JobState.DONE
        assert len(w.workers) == 3


def test_a_worker_that_says_why_it_cannot_start_is_believed(tmp_path: Path):
    program = "say(type='failed', job=None, code='torch_missing', message='There is no torch.', hint='Get it.')"
    with watched(tmp_path, program) as w:
        jobs = [w.queue.add(REQUEST, "photo") for _ in range(2)]
        w.finish()
        assert [job.error.code for job in jobs] == ["torch_missing"] * 2
        assert len(w.workers) == 1
        assert w.queue.worker_state is WorkerState.FAILED


def test_another_protocol_is_refused_in_one_sentence(tmp_path: Path):
    with watched(tmp_path, "say(**{**READY, 'protocol': 2}); hear()") as w:
        job = w.queue.add(REQUEST, "photo")
        w.finish()
        assert job.error.code == "worker_protocol"
        assert "another version of Likeness" in one_sentence(job.error)
        assert len(w.workers) == 1


def test_a_start_without_a_heartbeat_is_given_up(tmp_path: Path):
    patience = Patience(start_silence_s=0.3, starts=2)
    with watched(tmp_path, "time.sleep(60)", patience) as w:
        job = w.queue.add(REQUEST, "photo")
        assert w.finish() < 5
        assert job.error.code == "worker_hangs"
        assert len(w.workers) == 2


def test_a_long_start_with_heartbeats_is_waited_for(tmp_path: Path):
    program = "threading.Thread(target=beat, daemon=True).start()\ntime.sleep(1.0)\n" + OBEDIENT
    with watched(tmp_path, program, Patience(start_silence_s=0.5)) as w:
        job = w.queue.add(REQUEST, "photo")
        w.finish()
        assert job.state is JobState.DONE


def test_python_that_is_not_there(tmp_path: Path):
    environment = BackendEnvironment(tmp_path / "no python here", ())
    with Watched(environment, tmp_path / "log.txt") as w:
        job = w.queue.add(REQUEST, "photo")
        w.finish()
        assert job.error.code == "python_missing"
        assert str(tmp_path / "no python here") in one_sentence(job.error)


# --- cancel -----------------------------------------------------------------------------------------------------------

STUBBORN = """
say(**READY)
threading.Thread(target=beat, daemon=True).start()
while True:
    message = hear()
    if message["type"] == "job":
        say(type="progress", job=message["job"], stage="fit", text="fitting", fraction=0.5)
"""


def test_a_job_that_obeys_leaves_the_worker_warm(tmp_path: Path):
    program = STUBBORN + "    elif message['type'] == 'cancel':\n        say(type='cancelled', job=message['job'])\n"
    with watched(tmp_path, program) as w:
        first, second = w.queue.add(REQUEST, "first"), w.queue.add(REQUEST, "second")
        w.poll_until(lambda: first.stage == "fit")
        w.queue.cancel(first.id)
        assert first.state is JobState.CANCELLING
        w.poll_until(lambda: second.stage == "fit")
        assert first.state is JobState.CANCELLED
        assert len(w.workers) == 1


def test_a_job_that_does_not_obey_is_killed_and_the_next_is_done(tmp_path: Path):
    with watched(tmp_path, STUBBORN, IMPATIENT) as w:
        first, second = w.queue.add(REQUEST, "first"), w.queue.add(REQUEST, "second")
        w.poll_until(lambda: first.stage == "fit")
        w.queue.cancel(first.id)
        took = w.poll_until(lambda: first.state.is_end)
        assert first.state is JobState.CANCELLED
        assert IMPATIENT.cancel_s <= took < IMPATIENT.cancel_s + 0.5
        w.poll_until(lambda: second.stage == "fit")
        assert len(w.workers) == 2
        assert w.workers[0].wait(2.0)


@pytest.mark.parametrize(
    "late_answer",
    [
        "type='done', job=message['job'], result=RESULT",
        "type='failed', job=message['job'], code='x', message='X.', hint=''",
    ],
)
def test_an_answer_that_crosses_the_cancel_counts_as_cancelled(tmp_path: Path, late_answer: str):
    program = STUBBORN + f"    elif message['type'] == 'cancel':\n        say({late_answer})\n"
    with watched(tmp_path, program) as w:
        job = w.queue.add(REQUEST, "photo")
        w.poll_until(lambda: job.stage == "fit")
        w.queue.cancel(job.id)
        w.finish()
        assert job.state is JobState.CANCELLED
        assert job.result is None


def test_jobs_that_wait_are_cancelled_at_once(tmp_path: Path):
    with watched(tmp_path, STUBBORN) as w:
        jobs = [w.queue.add(REQUEST, "photo") for _ in range(3)]
        # the first too: the worker is still starting
        w.queue.cancel_all()
        assert [job.state for job in jobs] == [JobState.CANCELLED] * 3
        w.finish()
        assert set(map(id, w.ended)) == set(map(id, jobs))
        w.queue.cancel(jobs[0].id)
        w.queue.cancel("no such job")


def test_closing_kills_the_worker_and_its_children(tmp_path: Path):
    program = f"""
    import subprocess
    child = subprocess.Popen([{sys.executable!r}, "-c", "import time; time.sleep(60)"])
    open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
    say(**READY)
    hear()
    time.sleep(60)
    """
    with watched(tmp_path, program) as w:
        job = w.queue.add(REQUEST, "photo")
        w.poll_until(lambda: w.queue.worker_state is WorkerState.READY)
        start = time.monotonic()
        w.queue.close()
        assert time.monotonic() - start < 0.1
        assert job.state is JobState.CANCELLED
        assert not w.queue.busy
        assert w.workers[0].wait(2.0)
        assert not w.ended
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 2
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    if sys.platform == "linux":
        return status.exists() and status.read_text().split(")")[-1].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def test_a_worker_that_dies_while_idle_is_replaced(tmp_path: Path):
    with watched(tmp_path, OBEDIENT) as w:
        w.queue.add(REQUEST, "photo")
        w.finish()
        w.workers[0].stop(0.0)
        assert w.workers[0].wait(2.0)
        job = w.queue.add(REQUEST, "photo")
        w.finish()
        assert job.state is JobState.DONE
        assert len(w.workers) == 2


def test_restarting_takes_new_settings_to_the_next_job(tmp_path: Path):
    with watched(tmp_path, OBEDIENT) as w:
        w.queue.add(REQUEST, "photo")
        w.finish()
        w.queue.restart_worker()
        w.queue.add(REQUEST, "photo")
        w.finish()
        assert len(w.workers) == 2


# --- cost -------------------------------------------------------------------------------------------------------------


def test_a_flood_of_messages_is_taken_in_small_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flood = """
    say(**READY)
    job = hear()["job"]
    for number in range(1000):
        say(type="progress", job=job, stage="fit", text="fitting", fraction=number / 1000, seconds_left=1.0)
    say(type="heartbeat", job=job)
    hear()
    """
    with watched(tmp_path, flood) as w:
        job = w.queue.add(REQUEST, "photo")
        w.poll_until(lambda: w.queue.worker_state is WorkerState.READY)
        # without the clock the portion would be a matter of this machine's speed
        time.sleep(0.5)
        ticks = iter(range(10**6))
        w.queue._clock = lambda: next(ticks) * 0.0001
        messages, taken = w.workers[0].messages, []
        monkeypatch.setattr(messages, "take", lambda: taken.append(MessagePipe.take(messages)) or taken[-1])
        w.queue.poll(budget_s=0.001)
        assert 5 <= len(taken) <= 20
        w.queue._clock = time.monotonic
        w.poll_until(lambda: job.fraction == 0.999)


def test_jobs_need_no_thread(tmp_path: Path):
    """A second thread of Python's would meet Blender's own code inside Python, and Blender would crash."""
    before = set(sys._current_frames())
    with watched(tmp_path, STUBBORN, IMPATIENT) as w:
        job = w.queue.add(REQUEST, "photo")
        w.poll_until(lambda: job.stage == "fit")
        assert set(sys._current_frames()) <= before
        w.queue.cancel(job.id)
        w.poll_until(lambda: job.state.is_end)
        assert set(sys._current_frames()) <= before
        w.finish()


# --- the process ------------------------------------------------------------------------------------------------------


def test_the_worker_does_not_inherit_blenders_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "/blender's own")
    program = "sys.stderr.write(json.dumps({'environ': dict(os.environ), 'path': sys.path}))"
    environment = fake_environment(tmp_path / "Ünï 写真 folder", program)
    command = environment.command("--x")
    done = subprocess.run(command, env=environment.variables(), capture_output=True, text=True, cwd=tmp_path)
    assert "blender's own" not in done.stderr
    assert '"PYTHONUTF8": "1"' in done.stderr
    assert not list(tmp_path.rglob("__pycache__"))


def test_log_is_kept_and_set_aside_when_large(tmp_path: Path):
    log = tmp_path / "new folder" / "log.txt"
    environment = fake_environment(tmp_path / "fake", "sys.stderr.write('a word for the log')")
    worker = WorkerProcess.start(environment, log)
    assert worker.wait(5)
    assert worker.log_tail() == "a word for the log"
    log.write_bytes(b"x" * (2**20 + 1))
    worker = WorkerProcess.start(environment, log)
    assert worker.wait(5)
    assert log.read_text() == worker.log_tail() == "a word for the log"
    assert (tmp_path / "new folder" / "log.old.txt").stat().st_size == 2**20 + 1
    for _ in range(2):
        worker.stop(0.0)


def test_a_log_that_cannot_be_written_keeps_no_one_from_working(tmp_path: Path):
    (tmp_path / "file").touch()
    with Watched(fake_environment(tmp_path / "fake", OBEDIENT), tmp_path / "file" / "log.txt") as w:
        job = w.queue.add(REQUEST, "photo")
        w.finish()
        assert job.state is JobState.DONE


def test_a_worker_waits_until_it_is_listened_to(tmp_path: Path):
    """Idle Blender runs no timer: heartbeats fill the pipe, and the worker goes on where it is read again."""
    program = """
    threading.Thread(target=lambda: [say(type="heartbeat", job=None) for _ in range(10**5)], daemon=True).start()
    """
    with watched(tmp_path, program.replace("\n    ", "\n") + OBEDIENT, IMPATIENT) as w:
        w.queue.add(REQUEST, "photo")
        w.finish()
        time.sleep(IMPATIENT.silence_s + 0.1)
        assert w.workers[0].seconds_since_heartbeat > IMPATIENT.silence_s
        job = w.queue.add(REQUEST, "photo")
        w.finish()
        assert job.state is JobState.DONE
        assert len(w.workers) == 1


def test_a_worker_that_stays_when_it_is_replaced_is_killed(tmp_path: Path):
    program = "say(**READY)\nhear()\nsay(type='done', job='1', result=RESULT)\ntime.sleep(60)"
    with watched(tmp_path, program, IMPATIENT) as w:
        w.queue.add(REQUEST, "photo")
        w.finish()
        w.queue.restart_worker()
        assert w.queue.busy
        assert IMPATIENT.cancel_s <= w.finish() < IMPATIENT.cancel_s + 1.0
        assert not w.workers[0].alive
