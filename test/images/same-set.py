#!/usr/bin/env python3
"""same-set.py DIR DIR_BEFORE [FIELD,...]: a process that was restored from an image set and is dumped again makes the same set, but
for what may differ below, with the reason, and for the given fields. Whatever a dump can see and no file of /proc tells is compared this way: a
restore that loses it says nothing. Prints each field that differs, status 1 then.
"""
import fnmatch
import os
import re
import sys
import zlib

import imagefile

# Where the pages lie is residency; what is in them the programs check themselves.
LEFT_OUT = ('pagemap', 'pagemap-shmem', 'stats-dump', 'stats-restore', 'irmap-cache')

# IMAGE:FIELD, lists without their numbers; shell patterns.
MAY_DIFFER = (
    # of the run
    'inventory:dump_uptime', 'inventory:dump_criu_run_id', 'timens:*',
    # names with the number of shared memory in them; the images themselves are compared
    'inventory:images',
    # a probe's mapping does not come back
    'inventory:allow_uprobes',
    # what the kernel counts or notes
    'core:tc.flags', 'core:thread_info.fpregs.xsave.xstate_bv',
    # time goes on; the limit of epoll_wait is in a register, what is left of it is restored
    'files:tfd.v*sec', 'files:tfd.ticks', 'files:tfd.deadline_ns', 'core:tc.timers.*.v*sec', 'core:tc.timers.posix.missed',
    'core:tc.timers.posix.wall_ns', 'core:thread_core.syscall_restart.remaining_ns', 'core:thread_info.gpregs.r10',
    # a stopped task makes its call again when it goes on, and is not in it until then
    'core:thread_info.gpregs.orig_ax',
    # once the parent has heard of a stop nobody can tell which signal it was, nor who had sent a SIGSTOP
    'core:tc.stop_signo', 'core:tc.signals_s.signals.siginfo',
    # a file that is written to or read meanwhile, by this runner too
    'files:reg.identity.?time', 'files:reg.identity.size', 'files:reg.size', 'ghost-file:atim*',
    # messages of the kernel with times in them; an interface gets another link-local address
    'files:tunf.made.addresses', 'files:tunf.made.neighbours',
    # of shared memory that is only mapped nobody can tell when it was written to
    'memfd:?time_ns',
)
# Numbers that the kernel hands out: compared by the order in which they first appear, those of a kind together.
HANDED_OUT = {'pipe_id': 'pipe', 'shmid': 'memory', 'inode_id': 'memory', 'ino': 'inode', 'i_ino': 'inode',
              'inode': 'inode', 'audit_session': 'session', 'serial': 'keyring'}
# Lists and images without an order of their own.
UNORDERED = {'files:epfd.tfd', 'files:ffy.mark', 'pipes-data'}

# What O_TMPFILE has made is named by its inode.
NAMELESS = re.compile(r'/#[0-9]+$')

LINES_SHOWN = 20


def merged(areas):
    """The kernel makes one of two neighbours that are alike, sooner or later."""
    out = []
    for area in areas:
        last = out[-1] if out else None
        if last and last['end'] == area['start'] and not area['shmid'] and all(
                last.get(key) == area.get(key) for key in (last.keys() | area.keys()) - {'start', 'end', 'pgoff'}):
            last['end'] = area['end']
        else:
            out.append(dict(area))
    return out


class Flat:
    """The fields of a set, one line each."""

    def __init__(self, directory, may_differ):
        self.may_differ, self.numbers, self.fields = may_differ, {}, {}
        # The numbers appear in this one first.
        for name in sorted(os.listdir(directory), key=lambda name: (name != 'files.img', name)):
            if not name.endswith('.img') or name.startswith(imagefile.RAW_PREFIXES):
                continue
            stem, number = imagefile.split_name(name)
            if stem in LEFT_OUT:
                continue
            records = imagefile.read_records(os.path.join(directory, name))
            if stem in UNORDERED:
                records.sort(key=lambda record: self.number('pipe', record[0]['pipe_id']))
            for i, (values, payload) in enumerate(records):
                values['(data)'] = zlib.crc32(payload)
                self.add(stem, stem if number is None else '%s-%d' % (stem, number), '%d.' % i if i else '', '', values)

    def number(self, kind, value):
        known = self.numbers.setdefault(kind, {})
        return known.setdefault(value, len(known))

    def add(self, stem, image, place, path, value):
        if isinstance(value, dict):
            for key, each in value.items():
                self.add(stem, image, place, path + '.' + key if path else key, each)
        elif isinstance(value, list):
            if '%s:%s' % (stem, path) in UNORDERED:
                value = sorted(value, key=repr)
            if '%s:%s' % (stem, path) == 'mm:vmas':
                value = merged(value)
            for i, each in enumerate(value):
                self.add(stem, image, '%s%d.' % (place, i), path, each)
        elif not any(fnmatch.fnmatchcase('%s:%s' % (stem, path), each) for each in self.may_differ):
            kind = HANDED_OUT.get(path.rpartition('.')[2])
            if kind:
                value = '#%d' % self.number(kind, value)
            if path == 'reg.name':
                value = NAMELESS.sub('/#', value)
            self.fields['%s:%s%s' % (image, place, path)] = value


def main():
    given = sys.argv[3].split(',') if len(sys.argv) > 3 else []
    now, before = (Flat(directory, MAY_DIFFER + tuple(given)).fields for directory in sys.argv[1:3])
    differ = [key for key in sorted(now.keys() | before.keys()) if now.get(key) != before.get(key)]
    for key in differ[:LINES_SHOWN]:
        print('%s: %r before, %r now' % (key, before.get(key, 'absent'), now.get(key, 'absent')))
    if len(differ) > LINES_SHOWN:
        print('and %d more' % (len(differ) - LINES_SHOWN))
    return 1 if differ else 0


sys.exit(main())
