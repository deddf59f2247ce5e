#!/usr/bin/python3 -I
"""The stressors of stress-ng(1): each keeps a process in states that few programs are in.

stress.py [NAME ...]: while a stressor runs it is dumped and goes on, dumped again, killed and restored, over and over. It
has to report success, as it does undisturbed, and leave nothing behind. A dump may be refused for what the manual says is
refused. Each stressor has namespaces of its own and little memory; one runs at a time. CRIU names the program under test,
DURATION how many seconds each stressor runs; with KEEP=DIRECTORY what failed stays there to be looked at.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

CRIU = os.path.abspath(os.environ["CRIU"])
DURATION = int(os.environ.get("DURATION", 4))
OPTIONS = ["--file-locks"]
DUMP_OPTIONS = [*OPTIONS, "--link-remap", "--ghost-limit", "1G"]
NOBODY = 65534

# They harm the machine, fill it, change its settings for everybody or wait for what it lacks.
HARMFUL = """apparmor bad-ioctl bigheap bind-mount binderfs brk chdir clock cpu-online dev dev-shm efivar forkheavy gpu hdd
icmp-flood idle-page io-uring klog kvm loop memhotplug memthrash mlockmany mmapfork netdev oom-pipe pci physpage quota
ramfs rawdev rawpkt rawsock rawudp reboot resources rtc smi sockmany softlockup stack swap sysfs sysinval tmpfs udp-flood
umount uprobe vforkmany watchdog""".split()

NOT_AS_ROOT = ["exec", "spawn"]

TRACING = ["ptrace", "vm-segv"]

SIZES = {
    "clone": "--clone-max 16",
    "copy-file": "--copy-file-bytes 128M",
    "dirdeep": "--dirdeep-bytes 16",
    "exec": "--exec-max 4",
    "fallocate": "--fallocate-bytes 4M",
    "fiemap": "--fiemap-bytes 4M",
    "iomix": "--iomix-bytes 4M",
    "loadavg": "--loadavg-max 200",
    "malloc": "--malloc-bytes 64K --malloc-max 1000",
    "memfd": "--memfd-bytes 4M --memfd-fds 16",
    "memrate": "--memrate-bytes 8M",
    "mmap": "--mmap-bytes 8M",
    "mmaphuge": "--mmaphuge-mmaps 4",
    "mremap": "--mremap-bytes 8M",
    "msync": "--msync-bytes 4M",
    "open": "--open-max 1000",
    "pagemove": "--pagemove-bytes 8M",
    "prefetch": "--prefetch-l3-size 1M",
    "pthread": "--pthread-max 64",
    "pty": "--pty-max 32",
    "readahead": "--readahead-bytes 4M",
    "seek": "--seek-size 4M",
    "shm": "--shm-bytes 4M",
    "shm-sysv": "--shm-sysv-bytes 4M",
    "sleep": "--sleep-max 64",
    "stream": "--stream-l3-size 1M",
    "sync-file": "--sync-file-bytes 4M",
    "vm": "--vm-bytes 16M",
    "vm-rw": "--vm-rw-bytes 4M",
    "vm-splice": "--vm-splice-bytes 64K",
    "zombie": "--zombie-max 50",
}

# Of the dump, and of a restore where only that can tell.
REFUSALS = re.compile(
    r"""sockets\ are\ not\ supported\ yet
    | files\ of\ this\ kind\ are\ not\ supported
    | is\ watched\ by\ F_NOTIFY
    | marks\ on\ whole\ filesystems
    | has\ a\ thread\ keyring\ of\ its\ own|its\ (process|session)\ keyring,\ .*\ cannot\ be\ saved
    | is\ traced\ by\ pid\ .*\ already
    | its\ limit\ of\ .*\(RLIMIT_AS\)\ leaves\ no\ room
    | \(SEM_UNDO\),\ which\ is\ not\ supported
    | System\ V\ shared\ memory\ is\ not\ supported
    | \(vfork\ or\ CLONE_VM\)|\(CLONE_\w+\)
    | waits\ for\ (its\ child\ .*|the\ end\ of\ its\ )vfork
    | in\ another\ \w+\ namespace,\ which\ is\ not\ supported
    | Landlock\ domain
    | keys\ \(pkey|protection\ key
    | the\ process\ has\ ended
    | its\ other\ end\ was\ held\ outside\ of\ the\ tree""",
    re.VERBOSE,
)


def read_status(task):
    try:
        with open(f"/proc/{task}/status") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except (FileNotFoundError, ProcessLookupError):
        return {}


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]


def tasks():
    for pid in processes():
        try:
            yield from os.listdir(f"/proc/{pid}/task")
        except (FileNotFoundError, ProcessLookupError):
            pass


def describe(task):
    facts = read_status(task)
    return f"{task} ({facts.get('Name')}) {facts.get('State')}"


class Run:
    """One stressor, seen by the first process of its namespaces, in a directory of its own."""

    def __init__(self, name):
        self.name = name
        self.problems = set()
        self.refusals = set()
        self.restores = 0

    def start(self):
        os.mkdir("tmp")
        command = ["stress-ng", f"--{self.name}", "1", *SIZES.get(self.name, "").split(), "--timeout", str(DURATION)]
        command += ["--verify", "--oomable", "--no-rand-seed", "--temp-path", os.path.abspath("tmp")]
        environment = dict(os.environ)
        if self.name in NOT_AS_ROOT:
            os.chown("tmp", NOBODY, NOBODY)
            command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
        if self.name == "rseq":
            environment["GLIBC_TUNABLES"] = "glibc.pthread.rseq=0"
        with open("out", "ab") as out:
            self.pid = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True
            ).pid
        self.begin = time.time()

    def criu(self, verb, images, *options):
        command = [CRIU, verb, "-D", images, "-v4", "-o", f"{verb}.log", *options]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
            )
        except subprocess.TimeoutExpired:
            self.problems.add(f"{verb} hangs")
            return False
        if done.returncode == 0:
            return True
        if done.returncode > 0 and REFUSALS.search(done.stdout):
            self.refusals.add(done.stdout.split("\n")[0])
        else:
            self.problems.add(f"{verb}: status {done.returncode}: {done.stdout.strip()}")
        return False

    def look_at_tasks(self):
        for task in tasks():
            facts = read_status(task)
            if facts.get("State", "")[:1] == "t" or facts.get("TracerPid", "0") != "0":
                if self.name not in TRACING:
                    self.problems.add(f"traced: {describe(task)}")

    def dump(self, images, *options):
        os.mkdir(images)
        is_done = self.criu("dump", images, "-t", str(self.pid), *DUMP_OPTIONS, *options)
        left = [name for name in os.listdir(images) if not name.endswith(".log")]
        if left and not is_done:
            self.problems.add(f"a dump that failed leaves {left}")
        return is_done

    def reap(self):
        """Those who lost their parents are ours; the root's status is returned once it has ended."""
        ended = None
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return ended
                if pid == self.pid:
                    ended = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            return ended

    def nobody_left(self):
        for _ in range(40):
            self.reap()
            left = processes()
            if not left:
                return
            time.sleep(0.05)
        self.problems.add("left: " + ", ".join(map(describe, left)))

    def has_ended(self):
        return read_status(self.pid).get("State", "Z")[:1] in "ZX"

    def checkpoint(self, number):
        """False: there is nobody any more who could go on."""
        self.dump(f"images{number}-running", "-R")
        self.look_at_tasks()
        time.sleep(0.1)
        if self.has_ended() or not self.dump(f"images{number}-killed"):
            return True
        self.nobody_left()
        if not self.criu("restore", f"images{number}-killed", "-d", *OPTIONS):
            self.nobody_left()
            return False
        self.restores += 1
        self.look_at_tasks()
        return True

    def wait(self):
        end = time.time() + DURATION + 60
        while time.time() < end:
            status = self.reap()
            if status is not None:
                return status
            time.sleep(0.05)
        self.problems.add("it does not end: " + ", ".join(map(describe, tasks())))
        return None

    def run(self, is_disturbed):
        with open("/proc/self/mountinfo") as file:
            mounts = file.read()
        self.start()
        time.sleep(0.25)
        number = 0
        while is_disturbed and time.time() < self.begin + DURATION * 0.7 and not self.has_ended():
            number += 1
            if not self.checkpoint(number):
                return
            time.sleep(0.1)
        status = self.wait()
        if status:
            with open("out", errors="replace") as out:
                self.problems.add(f"exit status {status}: {out.read()[-500:]}")
        self.nobody_left()
        if os.listdir("tmp"):
            self.problems.add(f"left in its directory: {os.listdir('tmp')}")
        with open("/proc/self/mountinfo") as file:
            if file.read() != mounts:
                self.problems.add("mounts differ")


def inside(mode, name, directory):
    os.chdir(directory)
    run = Run(name)
    run.run(mode == "--disturbed")
    for problem in sorted(run.problems):
        print(problem)
    if run.problems:
        return 1
    print(f"restored {run.restores} times" if run.restores else min(run.refusals, default="has nothing to do here"))
    return 0 if run.restores else 77


def try_stressor(mode, name):
    directory = tempfile.mkdtemp(prefix=f"stress-{name}.", dir=os.environ.get("KEEP"))
    os.chmod(directory, 0o755)
    command = "unshare --pid --fork --kill-child --mount --uts --ipc --net --mount-proc nice -n 19".split()
    command += [sys.executable, "-I", os.path.abspath(__file__), mode, name, directory]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not os.environ.get("KEEP") or done.returncode in (0, 77):
        shutil.rmtree(directory, ignore_errors=True)
    return done.returncode, done.stdout.strip()


def list_stressors():
    done = subprocess.run(["stress-ng", "--stressors"], stdout=subprocess.PIPE, text=True)
    return [name for name in done.stdout.split() if name not in HARMFUL]


def main():
    if len(sys.argv) == 4 and sys.argv[1] in ("--disturbed", "--undisturbed"):
        return inside(*sys.argv[1:])
    passed = failed = skipped = 0
    if not shutil.which("stress-ng"):
        print("SKIP stress: no stress-ng\n0 passed, 0 failed, 1 skipped")
        return 0
    for name in sys.argv[1:] or list_stressors():
        status, said = try_stressor("--disturbed", name)
        if status not in (0, 77) and try_stressor("--undisturbed", name)[0] not in (0, 77):
            status, said = 77, "fails undisturbed"
        word = {0: "PASS", 77: "SKIP"}.get(status, "FAIL")
        print(f"{word} stress {name}: {said}", flush=True)
        passed += word == "PASS"
        skipped += word == "SKIP"
        failed += word == "FAIL"
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


sys.exit(main())
