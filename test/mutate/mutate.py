#!/usr/bin/python3
"""mutate.py [-k PATTERN] [-b BUILD]: shows that tests can fail.

Each line of mutations.tsv names a source file, a statement in it and a behaviour, by tabs. The statement is left out of
a copy of the tree: a call or an assignment is not made, an "if" never holds, a "return" returns 0. The behaviour has to
fail with what is built then, for whatever the statement saves or sets is lost. A statement stands in the table as in the
source, on one line, and is there only once; "FUNCTION: " in front of it says in which function, where it is there more
often. A name of a behaviour may be followed by "@MODE", otherwise it runs in the modes compare or plain.

PATTERN chooses lines by file, statement or behaviour. The copy and its build are in BUILD/mutate.
"""
import argparse
import filecmp
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MOST_LINES = 14


class Stale(Exception):
    pass


def statement_at(lines, at):
    """The last line of the statement that begins there, and its text; of an "if" the head, of an initialiser the line."""
    if lines[at].lstrip()[:1] in ('.', '{') and lines[at].endswith(','):
        return at, lines[at].strip()
    is_if = re.match(r'\s*(\} )?(else )?if \(', lines[at])
    text = ''
    for end in range(at, min(at + MOST_LINES, len(lines))):
        line = re.sub(r'/\*.*?\*/', '', lines[end]).strip()
        text += (' ' if text else '') + line
        if is_if and text.count('(') == text.count(')') or not is_if and line.endswith(';'):
            return end, text
        if not is_if and line.endswith(('{', '}', ':')):
            break
    return None, ''



def without(text):
    head = re.match(r'((?:\} )?(?:else )?if) (\(.*\))( \{)?$', text)
    if head:
        return '%s (0 && %s)%s' % (head[1], head[2], head[3] or '')
    if text.startswith('return '):
        return 'return 0;'
    call = re.match(r'(r|result) = .*;$', text)
    return '%s = 0;' % call[1] if call else '' if text.endswith(',') else '(void)0;'


def mutate(source, wanted):
    """The text without the statement: lines stay where they are."""
    where, _, statement = wanted.rpartition(': ') if re.match(r'\w+: ', wanted) else ('', '', wanted)
    lines, function, found = source.split('\n'), '', []
    for at, line in enumerate(lines):
        name = re.match(r'[A-Za-z_][^;=]*?(\w+)\(', line)
        function = name[1] if name else function
        if line.startswith('\t') and (not where or function == where):
            end, text = statement_at(lines, at)
            if end is not None and text == statement:
                found.append((at, end))
    if len(found) != 1:
        raise Stale('is there %d times' % len(found))
    (at, end), = found
    indent = re.match(r'\s*', lines[at])[0]
    return '\n'.join(lines[:at] + [indent + without(statement)] + [''] * (end - at) + lines[end + 1:])


def run(command, directory):
    return subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors='replace', check=False)


class Tree:
    """A copy that is built with one statement less, and with what is not changed only once."""

    def __init__(self, build):
        self.dir, self.build = os.path.join(build, 'mutate'), build
        for each in ('bench', 'criu', 'compel', 'images', 'scripts'):
            self.copy(each)
        self.copy_file('Makefile')
        self.make()

    def copy_file(self, path):
        """What is there already stays as it is, for what was built of it is younger."""
        source, copy = os.path.join(ROOT, path), os.path.join(self.dir, path)
        if not os.path.exists(copy) or not filecmp.cmp(source, copy, shallow=False):
            shutil.copyfile(source, copy)
            shutil.copymode(source, copy)

    def copy(self, directory):
        source, copy = os.path.join(ROOT, directory), os.path.join(self.dir, directory)
        os.makedirs(copy, exist_ok=True)
        for gone in set(os.listdir(copy)) - set(os.listdir(source)):
            os.unlink(os.path.join(copy, gone))
        for each in os.scandir(source):
            path = os.path.join(directory, each.name)
            if each.is_dir():
                self.copy(path)
            else:
                self.copy_file(path)

    def make(self):
        made = run(['make', '-s', 'CFLAGS=-Wno-error', 'build/criu/criu'], self.dir)
        if made.returncode:
            raise Stale('does not build: ' + made.stdout[-300:])

    def fails(self, test):
        """Whether the behaviour does; None when it was skipped."""
        name, _, mode = test.partition('@')
        runner = os.path.join(self.build, 'test/zdtm/runner')
        modes = [mode] if mode else ['compare', 'plain']
        for each in modes:
            said = run([runner, '-c', os.path.join(self.dir, 'build/criu/criu'), '-s', os.path.join(ROOT, 'test/zdtm'),
                        '-m', each, '-X', os.path.join(ROOT, 'test/images/same-set.py'), '-k', name], ROOT).stdout
            if re.search('^FAIL ', said, re.M):
                return True
            if re.search('^PASS ', said, re.M):
                return False
        return None

    def check(self, path, statement, test):
        copy = os.path.join(self.dir, path)
        with open(copy) as f:
            source = f.read()
        try:
            with open(copy, 'w') as f:
                f.write(mutate(source, statement))
            self.make()
            return self.fails(test)
        finally:
            with open(copy, 'w') as f:
                f.write(source)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('-k', default='', help='only lines with this text')
    parser.add_argument('-b', default=os.path.join(ROOT, 'build'), help='where the tests are built')
    args = parser.parse_args()
    counts = {'PASS': 0, 'FAIL': 0, 'SKIP': 0}
    tree = Tree(os.path.abspath(args.b))
    with open(os.path.join(HERE, 'mutations.tsv')) as f:
        rows = [line.rstrip('\n').split('\t') for line in f if line.strip() and not line.startswith('#')]
    for path, statement, test in rows:
        if args.k not in '\t'.join((path, statement, test)):
            continue
        try:
            fails = tree.check(path, statement, test)
            verdict = 'SKIP' if fails is None else 'PASS' if fails else 'FAIL'
            why = '' if fails else ': not run here' if fails is None else ': passes without it'
        except Stale as stale:
            verdict, why = 'FAIL', ': ' + str(stale)
        counts[verdict] += 1
        print('%s %s %s: %s%s' % (verdict, test, path, statement, why), flush=True)
    print('%d passed, %d failed, %d skipped' % (counts['PASS'], counts['FAIL'], counts['SKIP']))
    return 1 if counts['FAIL'] else 0


sys.exit(main())
