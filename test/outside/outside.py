#!/usr/bin/python3 -I
"""What leads out of the tree: pipes whose other end is elsewhere, devices, and how both are given to a restore; a server
that keeps a process from ending.

CRIU names the program under test, TEST_B where the helper was built. Arguments choose cases by name. Run it as the first
process of a pid namespace: restores need their old pids.
"""
import ctypes
import errno
import fcntl
import os
import re
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time

CRIU = os.environ["CRIU"]
HELD = os.path.join(os.environ["TEST_B"], "outside", "held")
KINDS = os.path.join(os.environ["TEST_B"], "outside", "kinds")
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def expect(found, expected, what):
    if found != expected:
        raise Failed(f"{what}: {found!r}, expected {expected!r}")


def expect_words(text, *words):
    for word in words:
        if word not in text:
            raise Failed(f"{word!r} is not in {text[:500]!r}")


def wait_for(path, seconds=60):
    end = time.time() + seconds
    while not os.path.exists(path):
        if time.time() > end:
            raise Failed(f"no {path} after {seconds} s")
        time.sleep(0.01)
    with open(path) as file:
        return file.read()


def start(*arguments, program=HELD, **how):
    """A program in a session of its own that has said READY."""
    nothing = subprocess.DEVNULL
    process = subprocess.Popen([program, *arguments], start_new_session=True, stderr=nothing,
                               **{"stdin": nothing, "stdout": nothing, **how})
    text = wait_for("ready")
    if text != "READY":
        process.wait()
        raise Skipped(text)
    return process


def criu(*arguments, **how):
    return subprocess.run([CRIU, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **how)


def dump(process, *options):
    done = criu("dump", "-t", str(process.pid), "-D", "images", *options)
    if done.returncode:
        raise Failed(f"dump: {done.stderr}")
    process.wait()
    return done.stderr


def refused(done, *words):
    if done.returncode == 0:
        raise Failed("it is not refused")
    expect_words(done.stderr, *words)


def restore(*options, **how):
    done = criu("restore", "-d", "-D", "images", "--pidfile", os.path.abspath("pid"), *options, **how)
    if done.returncode:
        raise Failed(f"restore: {done.stderr}")
    with open("pid") as file:
        pid = int(file.read())
    os.unlink("pid")
    return pid


def reap(pid):
    end = time.time() + 60
    while time.time() < end:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    raise Failed("it does not end")


def inode_of(fd):
    return os.fstat(fd).st_ino


def open_pipes():
    """Two pipes to and from a program, which has both as its standard streams."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    return theirs_in, ours_out, ours_in, theirs_out


def pipes_given_again():
    """New pipes at the restore: what nobody had read of the old one is in the new one."""
    theirs_in, ours_out, ours_in, theirs_out = open_pipes()
    process = start("copy", stdin=theirs_in, stdout=theirs_out)
    keys = [f"pipe:[{inode_of(fd)}]" for fd in (theirs_in, theirs_out)]
    os.write(ours_out, b"unread ")
    expect_words(dump(process), "the other end is held outside of the tree", keys[0])
    for fd in theirs_in, ours_out, ours_in, theirs_out:
        os.close(fd)
    theirs_in, ours_out, ours_in, theirs_out = open_pipes()
    pid = restore("--inherit-fd", f"fd[{theirs_in}]:{keys[0]}", "--inherit-fd", f"fd[{theirs_out}]:{keys[1]}",
                  pass_fds=(theirs_in, theirs_out))
    os.close(theirs_in)
    os.close(theirs_out)
    os.write(ours_out, b"and new\n")
    os.kill(pid, signal.SIGUSR1)
    text = b""
    while not text.endswith(b"\n"):
        text += os.read(ours_in, 100)
    expect(text, b"unread and new\n", "what went through")
    os.close(ours_out)
    expect(os.read(ours_in, 100), b"", "behind the end")
    os.close(ours_in)
    reap(pid)


def pipes_kept():
    """The pipes of the dump: what nobody had read is still in them, once."""
    theirs_in, ours_out, ours_in, theirs_out = open_pipes()
    process = start("copy", stdin=theirs_in, stdout=theirs_out)
    os.write(ours_out, b"once\n")
    dump(process)
    pid = restore("--inherit-fd", f"fd[{theirs_in}]:pipe:[{inode_of(theirs_in)}]",
                  "--inherit-fd", f"fd[{theirs_out}]:pipe:[{inode_of(theirs_out)}]", pass_fds=(theirs_in, theirs_out))
    os.close(theirs_in)
    os.close(theirs_out)
    os.kill(pid, signal.SIGUSR1)
    os.close(ours_out)
    reap(pid)
    expect(os.read(ours_in, 100), b"once\n", "what went through")
    os.close(ours_in)


def pipes_not_given():
    """Refused, but when it is said that nobody will have the other end."""
    theirs_in, ours_out, ours_in, theirs_out = open_pipes()
    process = start("copy", stdin=theirs_in, stdout=theirs_out)
    numbers = [inode_of(fd) for fd in (theirs_in, theirs_out)]
    os.write(ours_out, b"unread")
    text = dump(process, "--external", f"pipe[{numbers[0]}]", "--external", f"pipe[{numbers[1]}]")
    expect("outside of the tree" in text, False, "a warning")
    for fd in theirs_in, ours_out, ours_in, theirs_out:
        os.close(fd)
    done = criu("restore", "-d", "-D", "images")
    refused(done, f"pipe:[{numbers[0]}]: its other end was held outside of the tree", f"pipe:[{numbers[1]}]",
            "--inherit-fd fd[N]:pipe:[", "--external pipe[")
    given, other = os.pipe()
    refused(criu("restore", "-d", "-D", "images", "--inherit-fd", f"fd[{given}]:pipe:[{numbers[0]}]", pass_fds=(given,)),
            f"pipe:[{numbers[1]}]")
    with open("/dev/null") as null:
        refused(criu("restore", "-d", "-D", "images", "--external", f"pipe[{numbers[1]}]", "--inherit-fd",
                     f"fd[{null.fileno()}]:pipe:[{numbers[0]}]", pass_fds=(null.fileno(),)), "6 unread bytes would be lost")
    os.close(given)
    os.close(other)
    pid = restore("--external", f"pipe[{numbers[0]}]", "--external", f"pipe[{numbers[1]}]")
    os.kill(pid, signal.SIGUSR1)
    reap(pid)


def pipe_inside():
    """A pipe whose other end was closed comes back broken, and nothing has to be given."""
    theirs_in, ours_out = os.pipe()
    process = start("copy", stdin=theirs_in)
    os.close(theirs_in)
    os.close(ours_out)
    expect("outside" in dump(process), False, "a warning")
    pid = restore()
    os.kill(pid, signal.SIGUSR1)
    reap(pid)


def device_numbers(path):
    rdev = os.stat(path).st_rdev
    return f"{os.major(rdev)}/{os.minor(rdev)}"


def device_left_out():
    """Refused by number and name, and taken when it is said what opens it again."""
    path = "/dev/hpet" if os.path.exists("/dev/hpet") else "/dev/fuse"
    os.mknod("node", stat.S_IFCHR | 0o600, os.stat(path).st_rdev)
    process = start("device", "node", str(os.O_RDWR | os.O_NONBLOCK))
    numbers = device_numbers(path)
    dump_options = "dump", "-t", str(process.pid), "-D", "images"
    refused(criu(*dump_options), os.path.abspath("node"), numbers.replace("/", ":"), f"--external dev[{numbers}]:NAME",
            "--external dev[NAME]:PATH")
    refused(criu(*dump_options, "--external", f"dev[{numbers}]"), f"--external dev[{numbers}]:NAME")
    dump(process, "--external", f"dev[{numbers}]:gadget")
    refused(criu("restore", "-d", "-D", "images"), "called gadget", "--external dev[gadget]:PATH",
            "--inherit-fd fd[N]:dev[gadget]")
    refused(criu("restore", "-d", "-D", "images", "--external", "dev[gadget]:/nowhere"), "/nowhere", "No such file")
    refused(criu("restore", "-d", "-D", "images", "--external", f"dev[gadget]:{os.getcwd()}"), "no character device")
    os.unlink("node")
    os.mknod("another", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    pid = restore("--external", f"dev[gadget]:{os.path.abspath('another')}")
    os.kill(pid, signal.SIGUSR1)
    expect(wait_for("result").split(), ["103", "0", f"{os.O_RDWR | os.O_NONBLOCK | 0o100000:x}"], "what it has open")
    reap(pid)


def device_inherited():
    """A block device, which has a position, and the descriptor that takes its place."""
    os.mknod("node", stat.S_IFBLK | 0o600, os.stat("/dev/loop0").st_rdev)
    process = start("device", "node", str(os.O_RDONLY))
    refused(criu("dump", "-t", str(process.pid), "-D", "images"), "block device 7:0")
    dump(process, "--external", f"dev[{device_numbers('/dev/loop0')}]:disk")
    with open("node") as node:
        pid = restore("--inherit-fd", f"fd[{node.fileno()}]:dev[disk]", pass_fds=(node.fileno(),))
    os.kill(pid, signal.SIGUSR1)
    expect(wait_for("result").split()[0], "700", "what it has open")
    reap(pid)


def device_changed():
    """A node that has become another device is no longer the one that was dumped."""
    os.mknod("node", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    process = start("device", "node", str(os.O_RDWR))
    dump(process)
    os.unlink("node")
    os.mknod("node", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    refused(criu("restore", "-d", "-D", "images"), "is device 1:5, was 1:3 when it was dumped")


def terminal_left_out():
    """A terminal of somebody else: given at the restore when the dump was told of it."""
    master, slave = os.openpty()
    path = os.ttyname(slave)
    process = start("device", path, str(os.O_RDWR | os.O_NOCTTY))
    place = os.fstat(slave)
    name = f"tty[{place.st_rdev:x}:{place.st_dev:x}]"
    refused(criu("dump", "-t", str(process.pid), "-D", "images"), "its other end is open in no process of the tree",
            f"--external {name}", "--inherit-fd", "--shell-job")
    dump(process, "--external", name)
    refused(criu("restore", "-d", "-D", "images"), f"fd 3, {name}: is external", f"--inherit-fd fd[N]:{name}")
    os.close(slave)
    other_master, other_slave = os.openpty()
    pid = restore("--inherit-fd", f"fd[{other_slave}]:{name}", pass_fds=(other_slave,))
    os.kill(pid, signal.SIGUSR1)
    expect(int(wait_for("result").split()[0], 16), os.fstat(other_slave).st_rdev, "the terminal that it has")
    reap(pid)
    for fd in master, other_master, other_slave:
        os.close(fd)


def terminal_number_taken():
    """A terminal of the tree comes back under its number, or somebody else has that and it is said."""
    process = start("device", "/dev/ptmx", str(os.O_RDWR | os.O_NOCTTY))
    number = terminal_number(process.pid)
    dump(process)
    taken = []
    while not taken or number not in [struct.unpack("I", fcntl.ioctl(fd, TIOCGPTN, bytes(4)))[0] for fd in taken]:
        taken.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
    refused(criu("restore", "-d", "-D", "images"), f"pid {process.pid} (held), fd ", f"/dev/pts/{number}", "taken", "hint: ")
    for fd in taken:
        os.close(fd)
    pid = restore()
    expect(terminal_number(pid), number, "its number")
    os.kill(pid, signal.SIGUSR1)
    reap(pid)


def terminal_number(pid):
    """Of the one master that a process has open."""
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{name}") as file:
            found = re.search(r"^tty-index:\s*(\d+)", file.read(), re.MULTILINE)
        if found:
            return int(found[1])
    raise Failed("no terminal")


def machine_terminals():
    """The console, a virtual one and a serial line."""
    for path in "/dev/console", "/dev/tty0", "/dev/tty7", "/dev/ttyS0":
        if not os.path.exists(path):
            continue
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
        except OSError:
            continue
        for name in "ready", "result":
            if os.path.exists(name):
                os.unlink(name)
        process = start("device", path, str(os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
        dump(process)
        pid = restore()
        os.kill(pid, signal.SIGUSR1)
        expect(int(wait_for("result").split()[0], 16), os.stat(path).st_rdev, path)
        reap(pid)
        shutil.rmtree("images")
        os.mkdir("images")


def huge_pages_missing():
    """Not enough of them: what is missing is said before anything is created."""
    path = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

    def set_huge_pages(count):
        with open(path, "w") as file:
            file.write(str(count))

    if not os.path.exists(path):
        raise Skipped("no huge pages of 2 MiB")
    with open(path) as file:
        before = int(file.read())
    try:
        set_huge_pages(before + 3)
        process = start("huge", "3")
        dump(process)
        set_huge_pages(before)
        refused(criu("restore", "-d", "-D", "images"), "3 huge pages of 2048 kB are needed", "are left",
                "hugepages-2048kB/nr_hugepages")
        set_huge_pages(before + 3)
        pid = restore()
        os.kill(pid, signal.SIGUSR1)
        expect(wait_for("result"), "same", "their content")
        reap(pid)
    finally:
        set_huge_pages(before)


def open_probe(path, offset, on_return=False):
    """A uprobe that counts for all processes on the first processor; it is in the text of all."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/sys/bus/event_source/devices/uprobe/type") as file:
        kind = int(file.read())
    name = ctypes.create_string_buffer(path.encode())
    attributes = ctypes.create_string_buffer(128)
    struct.pack_into("IIQ", attributes, 0, kind, 128, 1 if on_return else 0)
    struct.pack_into("QQ", attributes, 56, ctypes.addressof(name), offset)
    fd = libc.syscall(298, attributes, -1, 0, -1, 8)
    if fd < 0:
        raise Skipped(f"no uprobes: {os.strerror(ctypes.get_errno())}")
    return fd


def start_probed():
    if not os.path.exists("/sys/bus/event_source/devices/uprobe/type"):
        raise Skipped("this kernel has no uprobes")
    shutil.copy(HELD, "probed")
    process = start("probed", program=os.path.abspath("probed"))
    return process, [int(word) for word in wait_for("where").split()]


def use(pid, signal_number, expected):
    if os.path.exists("result"):
        os.unlink("result")
    os.kill(pid, signal_number)
    expect(wait_for("result"), expected, "what its functions give")


def probes_that_go(is_hit, stays=False):
    """Probes in the text at the dump that are gone at the restore, or still there."""
    process, offsets = start_probed()
    probes = [open_probe(os.path.abspath("probed"), offset) for offset in offsets[:2]]
    if is_hit:
        use(process.pid, signal.SIGHUP, "231")
        refused(criu("dump", "-t", str(process.pid), "-D", "images"), "is the kernel's, for uprobes", "--allow-uprobes")
    dump(process, *(["--allow-uprobes"] if is_hit else []))
    if not stays:
        for probe in probes:
            os.close(probe)
    pid = restore(*(["--allow-uprobes"] if is_hit else []))
    use(pid, signal.SIGHUP, "231")
    if stays:
        for probe in probes:
            os.close(probe)
    use(pid, signal.SIGUSR1, "231")
    reap(pid)


def probes_never_hit():
    """Traps in the text that nothing has run into."""
    probes_that_go(False)


def probes_hit():
    """Such that were hit: the kernel has made mappings, and a call of one of them."""
    probes_that_go(True)


def probes_that_stay():
    """The kernel puts them into the text of the restored process again."""
    probes_that_go(False, stays=True)
    os.unlink("ready")
    shutil.rmtree("images")
    os.mkdir("images")
    probes_that_go(True, stays=True)


def probe_on_a_return():
    """A function that is to return into a mapping of the kernel's."""
    process, offsets = start_probed()
    probe = open_probe(os.path.abspath("probed"), offsets[2], on_return=True)
    os.kill(process.pid, signal.SIGUSR2)
    wait_for("inside")
    refused(criu("dump", "-t", str(process.pid), "-D", "images", "--allow-uprobes"),
            "1 of its threads are in functions whose return is traced by a uprobe", "hint: ")
    use(process.pid, signal.SIGUSR1, "1232")
    dump(process, "--allow-uprobes")
    os.close(probe)
    pid = restore("--allow-uprobes")
    use(pid, signal.SIGUSR1, "231")
    reap(pid)


def deleted_files_beyond_the_limit():
    """More of them than a restore can hold while it makes the tree: said before anything is made."""
    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))

    process = start("deleted", "400", preexec_fn=lower)
    dump(process)
    before = sorted(os.listdir("."))
    done = criu("restore", "-d", "-D", "images", preexec_fn=lower)
    if done.returncode == 0:
        os.kill(process.pid, signal.SIGKILL)
        reap(process.pid)
        raise Skipped("the limit could be raised")
    refused(done, "400 descriptors of deleted files that several have", "ulimit -n")
    expect(sorted(os.listdir(".")), before, "what is in the directory")
    pid = restore()
    os.kill(pid, signal.SIGUSR1)
    expect(wait_for("result"), "there", "the files")
    reap(pid)


TIOCGPTN = 0x80045430
TUNSETIFF, TUNSETPERSIST = 0x400454ca, 0x400454cb
TAP = 0x1002  # IFF_TAP | IFF_NO_PI


def open_interface(name, persistent=None):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP))
    if persistent is not None:
        fcntl.ioctl(fd, TUNSETPERSIST, persistent)
    return fd


def interface_persistent():
    """It belongs to the machine: refused where it is missing, opened where it is there again."""
    name = f"held{os.urandom(3).hex()}"
    process = start("tun", name, "persistent")
    dump(process)
    os.close(open_interface(name, 0))
    refused(criu("restore", "-d", "-D", "images"), f"there is no interface {name}", f"ip tuntap add dev {name} mode tap")
    os.close(open_interface(name, 1))
    try:
        pid = restore()
        os.kill(pid, signal.SIGUSR1)
        expect(wait_for("result"), name, "its interface")
        reap(pid)
    finally:
        os.close(open_interface(name, 0))


def interface_of_the_program():
    """It goes with the program: refused where its name is taken; filters cannot be read."""
    name = f"held{os.urandom(3).hex()}"
    process = start("tun", name, "plain")
    dump(process)
    fd = open_interface(name)
    refused(criu("restore", "-d", "-D", "images"), f"there is an interface {name} already")
    os.close(fd)
    reap(restore_and_use())
    expect(wait_for("result"), name, "its interface")
    os.unlink("ready")
    shutil.rmtree("images")
    os.mkdir("images")
    process = start("tun", name, "filtered")
    refused(criu("dump", "-t", str(process.pid), "-D", "images"), f"interface {name} has a packet filter")
    process.kill()
    process.wait()


def restore_and_use():
    pid = restore()
    os.kill(pid, signal.SIGUSR1)
    return pid


# What a program of test/outside/kinds.c holds, and what the refusal calls it.
REFUSED = {
    "userfaultfd": "userfaultfd", "perf": "perf event", "bpf-map": "BPF map", "bpf-program": "BPF program",
    "secret": "secret memory (memfd_secret)", "seccomp-listener": "seccomp listener", "landlock": "landlock ruleset",
    "fsopen": "filesystem context (fsopen)", "fsmount": "detached mount", "mount-copy": "detached mount",
    "queue": "POSIX message queue", "named-queue": "POSIX message queue", "fuse": "FUSE server",
    "machine": "virtual machine (KVM)", "latency": "processor latency request", "userfaultfd-device": "userfaultfd",
    "msr": "processor registers (MSR)", "crypto-socket": "crypto socket", "autofs": "autofs",
    "fspick": "filesystem context (fsopen)", "deleted-in-mount": "in a mount that is nowhere",
    "bpf-types": "BPF type information", "bpf-link": "BPF link", "processor": "virtual machine (KVM)",
    "secret-mapping": "secret memory (memfd_secret)", "stranger": "pidfd", "lost-namespace": "namespace",
}


def everything_unsupported():
    """Each is refused by its name with a hint, and the program goes on; the manual has the name."""
    manual = manual_text()
    kinds = subprocess.run([KINDS], capture_output=True, text=True).stdout.split()
    expect(sorted(kinds), sorted(REFUSED), "the kinds that are tried")
    for kind in kinds:
        if os.path.exists("ready"):
            os.unlink("ready")
        try:
            process = start(kind, program=KINDS)
        except Skipped as reason:
            print(f"# {reason}")
            continue
        try:
            place = "mapping" if kind.endswith("mapping") else "fd"
            refused(criu("dump", "-t", str(process.pid), "-D", "images"), f"pid {process.pid} (kinds), {place} ",
                    REFUSED[kind])
            hints = criu("check", "--pid", str(process.pid)).stdout
            expect_words(hints, REFUSED[kind])
            expect_words(manual, REFUSED[kind])
            os.kill(process.pid, signal.SIGUSR1)
            expect(process.wait(timeout=60), 0, f"{kind}: how it ends")
        finally:
            process.kill()
            process.wait()
    if os.path.exists("/dev/mqueue/kinds"):
        os.unlink("/dev/mqueue/kinds")


def manual_text():
    with open(os.path.join(SOURCES, "doc", "criu.8")) as file:
        return " ".join(file.read().replace("\\-", "-").split())


def manual_is_complete():
    """Every name in the tables of refusals is in the manual, but for those of sockets."""
    manual = manual_text()
    for path, rows in ("criu/files/unsupported.c", r'\{ "[^"]*",(?: "[^"]*",)? "([^"]+)" \}|\{ [A-Z_]+, "([^"]+)" \}'), \
                      ("criu/files/device.c", r'\{ [A-Z0-9_]+, [0-9]+, [0-9]+, "([^"]+)" \}|\{ "/dev[^"]*", "([^"]+)" \}'):
        with open(os.path.join(SOURCES, path)) as file:
            names = {name for found in re.findall(rows, file.read()) for name in found if name}
            names = {name for name in names if not name.endswith(("socket", "["))} # beginnings of links are no names
        expect(len(names) > 8, True, f"names found in {path}")
        missing = [name for name in sorted(names) if name not in manual]
        expect(missing, [], f"names of {path} that the manual lacks")


def kernel_files():
    """Files of the kernel's own filesystems, read to some place."""
    for path in "/sys/fs/cgroup", "/sys/fs/cgroup/unified/cgroup.procs", "/sys/kernel/mm/hugepages", \
                "/sys/kernel/uevent_seqnum", "/sys/kernel/debug/sleep_time", "/sys/kernel/tracing/README", \
                "/proc/filesystems", "/proc/sys/kernel/ostype":
        if not os.path.exists(path):
            continue
        process = start("device", path, str(os.O_RDONLY))
        dump(process)
        reap(restore_and_use())
        expect(wait_for("result").split()[1], "0", path)
        for name in "ready", "result":
            os.unlink(name)
        shutil.rmtree("images")
        os.mkdir("images")


FUSE_LOOKUP, FUSE_GETATTR, FUSE_OPEN, FUSE_RELEASE, FUSE_FLUSH, FUSE_INIT = 1, 3, 14, 18, 25, 26


def serve_file(device):
    """A filesystem with one file; who closes that has to wait while there is a file "silent"."""
    def attributes(node):
        mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o644
        return struct.pack("=6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    while True:
        try:
            call = os.read(device, 1 << 16)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            continue
        operation, unique, node = struct.unpack_from("=IQQ", call, 4)
        answers = {FUSE_INIT: struct.pack("=4IHHIIHHI28x", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0),
                   FUSE_GETATTR: struct.pack("=QII", 0, 0, 0) + attributes(node),
                   FUSE_LOOKUP: struct.pack("=4QII", 2, 0, 0, 0, 0, 0) + attributes(2),
                   FUSE_OPEN: struct.pack("=QII", 0, 0, 0), FUSE_FLUSH: b"", FUSE_RELEASE: b""}
        while operation == FUSE_FLUSH and os.path.exists("silent"):
            time.sleep(0.01)
        answer = answers.get(operation)
        try:
            os.write(device, struct.pack("=IiQ", 16 + len(answer or b""), 0 if answer is not None else -errno.ENOSYS,
                                         unique) + (answer or b""))
        except OSError:
            pass # nobody waits for it


def mount_served(directory):
    """A directory on a filesystem of ours; the pid of its server."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        raise Skipped(f"/dev/fuse: {error}")
    os.mkdir(directory)
    if libc.mount(b"served", os.fsencode(directory), b"fuse", 0,
                  f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()) < 0:
        raise Skipped(f"mount: {os.strerror(ctypes.get_errno())}")
    server = os.fork()
    if server == 0:
        serve_file(device)
        os._exit(0)
    os.close(device)
    return server


def end_that_hangs():
    """A process that was killed hangs in its end: the dump warns and does not wait for ever."""
    server = mount_served("mounted")
    try:
        with open("mounted/file", "rb") as file:
            process = start("copy", stdin=file)
        with open("hook", "w") as hook:
            hook.write(f'#!/bin/sh\n[ "$CRTOOLS_SCRIPT_ACTION" != post-dump ] || : >"{os.getcwd()}/silent"\n')
        os.chmod("hook", 0o755)
        done = criu("dump", "-t", str(process.pid), "-D", "images", "--timeout", "1", "--action-script", "./hook")
        expect(done.returncode, 0, done.stderr)
        expect_words(done.stderr, f"pid {process.pid} (held)", "killed, but has not ended")
        expect(os.path.exists("images/inventory.img"), True, "a finished set")
        expect(process.poll(), None, "how it ended")
        os.unlink("silent")
        expect(process.wait(timeout=60), -signal.SIGKILL, "how it ended")
    finally:
        if os.path.exists("silent"):
            os.unlink("silent")
        subprocess.run(["umount", "-l", "mounted"])
        os.waitpid(server, 0)


CASES = [pipes_given_again, pipes_kept, pipes_not_given, pipe_inside, device_left_out, device_inherited, device_changed,
         terminal_left_out, terminal_number_taken, machine_terminals, huge_pages_missing, interface_persistent, interface_of_the_program,
         probes_never_hit, probes_hit, probes_that_stay, probe_on_a_return, deleted_files_beyond_the_limit,
         everything_unsupported, manual_is_complete, kernel_files, end_that_hangs]


def run(case):
    directory = tempfile.mkdtemp()
    os.chdir(directory)
    os.mkdir("images")
    try:
        case()
        return "PASS", ""
    except Skipped as reason:
        return "SKIP", f": {reason}"
    except (Failed, OSError, subprocess.SubprocessError) as reason:
        return "FAIL", f": {reason}"
    finally:
        os.chdir("/")
        shutil.rmtree(directory)


def main():
    counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    for case in CASES:
        if len(sys.argv) > 1 and case.__name__ not in sys.argv[1:]:
            continue
        result, reason = run(case)
        counts[result] += 1
        print(f"{result} outside {case.__name__}{reason}", flush=True)
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped")
    return 1 if counts["FAIL"] else 0


sys.exit(main())
