#!/usr/bin/python3
"""mutate.py [-k PATTERN] [-b BUILD]: shows that tests can fail.

Each line of mutations.tsv names a source file, a statement in it and behaviours, by tabs; the last by commas. The
statement is left out of a copy of the tree: a call or an assignment is not made, an "if" never holds, a "return" returns
0. The behaviours have to fail with what is built then, for whatever the statement saves or sets is lost. A statement
stands in the table as in the source, on one line, and is there only once; "FUNCTION: " in front of it says in which
function, where it is there more often. A behaviour may be NAME:ARGUMENTS, one line of tests.list out of several with its
name, and may be followed by "@MODE", otherwise it runs in the modes compare or plain. Instead of a file there may be "-",
and instead of a statement the reason why none is left out for these behaviours.

PATTERN chooses lines by file, statement or behaviour. Without one, behaviours that no line names are told, too. The copy
and its build are in BUILD/mutate.
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
        if not line and end == at:
            break
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
        made = run(['make', '-s', 'WARN=-w', 'build/criu/criu'], self.dir)
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

    def check(self, path, statement, tests):
        """Of each behaviour whether it fails."""
        copy = os.path.join(self.dir, path)
        with open(copy) as f:
            source = f.read()
        try:
            with open(copy, 'w') as f:
                f.write(mutate(source, statement))
            self.make()
            return [(test, self.fails(test)) for test in tests]
        finally:
            with open(copy, 'w') as f:
                f.write(source)


def unnamed(rows):
    """The lines of tests.list that no row names. One refusal of several has to be named with its arguments."""
    named = {test.partition('@')[0] for _, _, tests in rows for test in tests}
    with open(os.path.join(ROOT, 'test/zdtm/tests.list')) as f:
        lines = [line.split() for line in f if line.strip() and not line.startswith('#')]
    names = [words[0] for words in lines]
    for name, *words in lines:
        options = dict(word.partition('=')[::2] for word in words)
        label = name + ':' + options.get('args', '')
        is_of_several = 'refused' in options and 'args' in options and names.count(name) > 1
        if 'later' not in options and label not in named and (is_of_several or name not in named):
            yield label.rstrip(':')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('-k', default='', help='only lines with this text')
    parser.add_argument('-b', default=os.path.join(ROOT, 'build'), help='where the tests are built')
    args = parser.parse_args()
    counts = {'PASS': 0, 'FAIL': 0, 'SKIP': 0}
    tree = Tree(os.path.abspath(args.b))
    with open(os.path.join(HERE, 'mutations.tsv')) as f:
        rows = [line.rstrip('\n').split('\t') for line in f if line.strip() and not line.startswith('#')]
    rows = [(path, statement, tests.split(',')) for path, statement, tests in rows]

    def tell(verdict, text):
        counts[verdict] += 1
        print(verdict, text, flush=True)

    for path, statement, tests in rows:
        if args.k not in '\t'.join((path, statement, ','.join(tests))):
            continue
        if path == '-':
            tell('SKIP', '%s: %s' % (', '.join(tests), statement))
            continue
        try:
            for test, fails in tree.check(path, statement, tests):
                verdict = 'SKIP' if fails is None else 'PASS' if fails else 'FAIL'
                why = '' if fails else ': not run here' if fails is None else ': passes without it'
                tell(verdict, '%s %s: %s%s' % (test, path, statement, why))
        except Stale as stale:
            tell('FAIL', '%s %s: %s: %s' % (','.join(tests), path, statement, stale))
    for label in [] if args.k else unnamed(rows):
        tell('FAIL', '%s: no statement is named without which it fails' % label)
    print('%d passed, %d failed, %d skipped' % (counts['PASS'], counts['FAIL'], counts['SKIP']))
    return 1 if counts['FAIL'] else 0


sys.exit(main())
