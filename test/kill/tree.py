#!/usr/bin/python3
"""tree.py [-t THREADS] [ROUNDS [SEED]]: kills one of criu's processes at a random moment of a dump that leaves a wide
tree running, and of a restore of it. After a dump every process of the tree has to be there, untraced and running, each
a child of the same thread; after a restore all of them or nobody. In the end the tree checks itself. With -t so many
threads of the root make the others. Run as the first process of a pid namespace; CRIU and TEST_B
come from the environment."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CRIU = os.environ["CRIU"]
TREE = [os.environ["TEST_B"] + "/zdtm/wide_tree", "60"]
if sys.argv[1:2] == ["-t"]:
    TREE.append(sys.argv.pop(2))
    sys.argv.pop(1)
TASKS = 61
lists = {}  # children of each process


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def field(pid, key, tid=None):
    for line in read(f"/proc/{pid}/task/{tid or pid}/status").splitlines():
        if line.startswith(key + ":"):
            return line.split()[1]
    return None


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reap()
        if condition():
            return True
        time.sleep(0.002)
    return False


def clear():
    for pid in pids():
        os.kill(pid, signal.SIGKILL)
    if not until(lambda: not pids()):
        raise SystemExit(f"processes that cannot be killed: {pids()}")


def ours():
    """Whatever runs as criu: the worker, the rescuer, processes on their way to be restored."""
    return [pid for pid in pids() if read(f"/proc/{pid}/comm").startswith("criu")]


def tree():
    return sorted(pid for pid in pids() if read(f"/proc/{pid}/comm").strip() == "wide_tree")


def threads(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def children(pid):
    """By thread, in the order in which they are listed."""
    return {tid: read(f"/proc/{pid}/task/{tid}/children") for tid in threads(pid)}


def start():
    with open("out", "w") as out:
        subprocess.Popen(TREE, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    if not until(lambda: "READY" in read("out")):
        raise SystemExit("the tree does not start")
    members = tree()
    lists.update((pid, children(pid)) for pid in members)
    return members


def disturbed(members):
    if tree() != members:
        return f"{len(tree())} of {len(members)} processes are there"
    for pid, tid in ((pid, tid) for pid in members for tid in threads(pid)):
        state, tracer = field(pid, "State", tid), field(pid, "TracerPid", tid)
        if tracer == "0" and state in "RSD":
            continue
        return f"thread {tid} of {pid} has state {state}, tracer {tracer} ({read(f'/proc/{tracer}/comm').strip()})"
    for pid in members:
        if children(pid) != lists[pid]:
            return f"process {pid} has the children {children(pid)}, not {lists[pid]}"
    return None


def passes(root):
    os.kill(root, signal.SIGTERM)
    return until(lambda: "PASS" in read("out")) and until(lambda: not tree())


def run(*arguments):
    process = subprocess.Popen([CRIU, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    # An execution closes descriptors before it gives the new name.
    while not read(f"/proc/{process.pid}/comm").startswith("criu"):
        time.sleep(0.001)
    return process


def strike(criu, after, choose=ours):
    """One of criu's processes, so long after its start: its pid, None when it had ended."""
    time.sleep(after)
    criu.poll()
    victims = choose()
    if not victims:
        return None
    victim = random.choice(victims)
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return victim


def took(*arguments):
    start_s = time.monotonic()
    if run(*arguments).wait() != 0:
        raise SystemExit(f"criu {arguments[0]} fails without a kill")
    return time.monotonic() - start_s


class Tally:
    passed = failed = 0

    def note(self, reason, what):
        if reason:
            self.failed += 1
            print(f"FAIL {what}: {reason}", flush=True)
        else:
            self.passed += 1


def dumps(rounds, tally):
    members = start()
    os.mkdir("set")
    whole_s = took("dump", "-R", "-t", str(members[0]), "-D", "set")
    for _ in range(rounds):
        shutil.rmtree("set")
        os.mkdir("set")
        strike(run("dump", "-R", "-t", str(members[0]), "-D", "set"), random.random() * whole_s * 1.1)
        until(lambda: not ours())
        until(lambda: not disturbed(members))
        tally.note(ours() and "criu is still there" or disturbed(members), "dump")
        if disturbed(members):
            clear()
            members = start()
    tally.note(None if passes(members[0]) else read("out"), "the tree behind the dumps")
    clear()


def restores(rounds, tally):
    members = start()
    shutil.rmtree("set", ignore_errors=True)
    os.mkdir("set")
    took("dump", "-t", str(members[0]), "-D", "set")
    until(lambda: not pids())
    whole_s = took("restore", "-d", "-D", "set")
    clear()

    # The root has its own name already, while criu traces its threads.
    def root_or_ours():
        return [pid for pid in tree() if pid == members[0]] or ours()

    for _ in range(rounds):
        with open("out", "r+") as out:
            out.truncate(len("READY\n"))
        criu = run("restore", "-d", "-D", "set")
        victim = strike(criu, random.random() * whole_s * 1.1, random.choice((ours, root_or_ours)))
        succeeded = criu.wait(60) == 0
        # It was on its way when it was chosen, and belonged to the restored tree when it was struck.
        is_late = succeeded and victim in members
        until(lambda: not ours())
        until(lambda: is_late or not pids() or not disturbed(members))
        reason = ours() and "criu is still there"
        if not reason and not is_late and pids():
            reason = disturbed(members) or (None if passes(members[0]) else read("out"))
        tally.note(reason, "restore")
        clear()


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    tally = Tally()
    random.seed(seed)
    with tempfile.TemporaryDirectory(prefix="kill-tree.") as directory:
        os.chdir(directory)
        dumps(rounds, tally)
        restores(rounds, tally)
        os.chdir("/")
    if tally.failed:
        print(f"seed {seed}")
    print(f"{tally.passed} passed, {tally.failed} failed, 0 skipped")
    return tally.failed != 0


if os.getpid() != 1:
    sys.exit("to be run in a pid namespace: unshare --pid --fork --mount-proc")
sys.exit(main())
