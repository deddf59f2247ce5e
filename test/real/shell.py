#!/usr/bin/python3 -I
"""Shells with their jobs and programs that fill a screen, on terminals of this script's: saved and restored with
--shell-job, refused without it.

CRIU names the program under test. Run it as the first process of a pid namespace: restores need their old pids.
"""
import fcntl
import glob
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

CRIU = os.environ["CRIU"]
SHELL = ["bash", "--norc", "--noprofile"]


class Failed(Exception):
    pass


class Terminal:
    def __init__(self, *command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Started in the background one would ignore the keyboard's signals, and the shell with all its jobs too.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGQUIT, signal.SIG_DFL)
            os.closerange(3, 64)
            os.execvp(command[0], command)
        self.text = b""

    def type(self, line):
        os.write(self.fd, line.encode())

    def expect(self, word, seconds=60):
        """Waits for a word and forgets what came up to it."""
        end = time.time() + seconds
        while word.encode() not in self.text:
            if time.time() > end or not select.select([self.fd], [], [], 0.2)[0]:
                if time.time() > end:
                    raise Failed(f"no {word!r} on the terminal, but {self.text!r}")
                continue
            try:
                self.text += os.read(self.fd, 4096)
            except OSError:
                raise Failed(f"the terminal ended before {word!r}: {self.text!r}")
        self.text = self.text.split(word.encode(), 1)[1]

    def resize(self):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def criu(*arguments):
    return subprocess.run([CRIU, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def dump(pid, *options):
    done = criu("dump", "-t", str(pid), "-D", "images", *options)
    if done.returncode:
        raise Failed(done.stderr)


def reap():
    """Who has lost its parent is ours, and its pid is needed again."""
    for _ in range(20):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.02)


def until(condition, what, seconds=60):
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            raise Failed(f"{what}: not after {seconds} s")
        time.sleep(0.02)


def text_of(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def until_asleep(name):
    """A program of that name waits."""
    def waits():
        return any(re.match(rf"\d+ \({name}\) S", text_of(path)) for path in glob.glob("/proc/[0-9]*/stat"))
    until(waits, f"{name} runs")


def restoring(*options):
    """A restore's command line, for until_restored()."""
    with open("hook", "w") as hook:
        hook.write('#!/bin/sh\n[ "$CRTOOLS_SCRIPT_ACTION" != post-resume ] || : >"$0.done"\n')
    os.chmod("hook", 0o755)
    return [CRIU, "restore", "--shell-job", "-D", "images", "--action-script", os.path.abspath("hook"), *options]


def until_restored():
    until(lambda: os.path.exists("hook.done"), "restored")
    os.unlink("hook.done")


def replace(terminal):
    """What runs on a terminal is dumped and goes on, is dumped and killed, and is restored on another one."""
    dump(terminal.pid, "--shell-job", "-R")
    time.sleep(0.1)
    shutil.rmtree("images")
    os.mkdir("images")
    dump(terminal.pid, "--shell-job", "--file-locks", "--ghost-limit", "64M")
    terminal.close()
    reap()
    terminal = Terminal(*restoring("--file-locks"))
    until_restored()
    return terminal


def shell_itself():
    """A shell with a line that is not finished, in a terminal whose leader it is."""
    terminal = Terminal(*SHELL)
    terminal.expect("# ")
    terminal.type("X=forty-two; echo $((1000 + 1))\n")
    terminal.expect("1001\r\n")
    terminal.type("echo unfin")
    terminal.expect("echo unfin")
    refused = criu("dump", "-t", str(terminal.pid), "-D", "images")
    if refused.returncode == 0 or "--shell-job" not in refused.stderr:
        raise Failed(f"a dump without --shell-job: {refused.stderr!r}")
    dump(terminal.pid, "--shell-job")
    terminal.close()
    terminal = Terminal(*restoring())
    until_restored()
    terminal.type("ished $X\n")
    terminal.expect("unfinished forty-two")
    terminal.type("sleep 100\n")
    until_asleep("sleep")
    terminal.type("\003")
    terminal.type("echo $((2000 + 2)); exit\n")
    terminal.expect("2002")
    terminal.close()


def terminal_of_another():
    """The same set where the terminal belongs to a shell, which must not lose it."""
    terminal = Terminal(*SHELL)
    terminal.expect("# ")
    pid = terminal.pid
    dump(pid, "--shell-job")
    terminal.close()
    terminal = Terminal(*SHELL)
    terminal.expect("# ")
    terminal.type(f"{CRIU} restore --shell-job -D images\n")
    terminal.expect("controls it")
    terminal.type("echo $((3000 + 3)); exit\n")
    terminal.expect("3003")
    terminal.close()


def job():
    """A job of a shell that reads what is typed and is interrupted from the keyboard."""
    terminal = Terminal(*SHELL)
    terminal.expect("# ")
    terminal.type("sh -c 'echo is ready; while read line; do echo got $line; done'\n")
    terminal.expect("is ready\r\n")
    with open(f"/proc/{terminal.pid}/task/{terminal.pid}/children") as children:
        pid = int(children.read().split()[0])
    dump(pid, "--shell-job")
    terminal.expect("Killed")
    terminal.type(" ".join(restoring()) + "\n")
    until_restored()
    terminal.type("hello\n")
    terminal.expect("got hello")
    terminal.type("\003")
    time.sleep(0.3)
    terminal.type("echo $((4000 + 4)); exit\n")
    terminal.expect("4004")
    terminal.close()


def jobs(shell, stopped):
    """A job in the background and one that was stopped, which goes on in the foreground."""
    terminal = Terminal(*shell)
    terminal.expect("# ")
    terminal.type("sleep 1000 &\n")
    terminal.expect("[1]")
    terminal.type("cat > out\n")
    until_asleep("cat")
    terminal.type("one\n")
    until(lambda: text_of("out") == "one\n", "one line is in the file")
    terminal.type("\032")
    terminal.expect(stopped)
    terminal = replace(terminal)
    terminal.type("\njobs\n")
    terminal.expect("sleep 1000")
    terminal.expect("cat > out")
    terminal.type("fg %2\n")
    terminal.expect("cat > out")
    until_asleep("cat")
    terminal.type("two\n")
    until(lambda: text_of("out") == "one\ntwo\n", "two lines are in the file")
    terminal.type("\004")
    terminal.type("cat out; kill %1; wait; echo $((5000 + 5)); exit\n")
    terminal.expect("one\r\ntwo")
    terminal.expect("5005")
    terminal.close()


def jobs_of_bash():
    jobs(SHELL, "Stopped")


def jobs_of_zsh():
    jobs(["zsh", "-f"], "suspended")


def editor():
    terminal = Terminal("vim", "-u", "NONE", "-N", "text")
    terminal.resize()
    terminal.expect("text")
    until_asleep("vim.*")
    terminal.type("ihello world\033")
    terminal.expect("world")
    time.sleep(0.3)
    terminal = replace(terminal)
    terminal.type("yyp:s/world/again/\r:wq\r")
    until(lambda: text_of("text") == "hello world\nhello again\n", "vim has written what it should")
    terminal.close()


def pager():
    """It reads a pipe whose writer is in the tree, and keys from the terminal."""
    terminal = Terminal("sh", "-c", "seq 100000 | less")
    terminal.resize()
    terminal.expect("20")
    terminal.type("500g")
    terminal.expect("510")
    terminal = replace(terminal)
    terminal.type("/7777$\n")
    terminal.expect("7780")
    terminal.type("q")
    terminal.close()


def monitor():
    terminal = Terminal("top", "-d", "0.3")
    terminal.resize()
    terminal.expect("PID")
    terminal = replace(terminal)
    terminal.expect("running")
    terminal.type("q")
    terminal.close()


def recorder():
    """A shell on a terminal of its own, which another program reads and writes."""
    terminal = Terminal("script", "-q", "-c", " ".join(SHELL), "typescript")
    terminal.expect("# ")
    terminal.type("echo $((6000 + 6))\n")
    terminal.expect("6006")
    terminal = replace(terminal)
    terminal.type("echo $((7000 + 7)); exit\n")
    terminal.expect("7007")
    until(lambda: "7007" in text_of("typescript"), "script has written on")
    terminal.close()


def main():
    passed = failed = skipped = 0
    needs = {jobs_of_zsh: "zsh", editor: "vim", pager: "less", monitor: "top", recorder: "script"}
    os.environ["TERM"] = "xterm"
    os.closerange(3, 1024)  # a shell would inherit what somebody left open
    for case in shell_itself, terminal_of_another, job, jobs_of_bash, jobs_of_zsh, editor, pager, monitor, recorder:
        if not shutil.which(needs.get(case, "bash")):
            skipped += 1
            print(f"SKIP shell {case.__name__}: no {needs[case]}")
            continue
        directory = tempfile.mkdtemp()
        os.chdir(directory)
        os.mkdir("images")
        try:
            case()
            passed += 1
            print(f"PASS shell {case.__name__}")
        except Failed as reason:
            failed += 1
            print(f"FAIL shell {case.__name__}: {reason}")
        os.chdir("/")
        shutil.rmtree(directory)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


sys.exit(main())
