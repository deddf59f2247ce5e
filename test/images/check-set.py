#!/usr/bin/env python3
"""check-set.py DIR [WORK_DIR]: looks at an image set the way another reader of the format relies on it.

Every file has a known name, magic and layout and is read to its end; every id leads somewhere; optional fields that
readers need are there; page maps, mappings and pages files agree. One line for each thing found wrong, status 1 then.
"""
import os
import re
import stat
import sys

import imagefile
from imagefile import Bad

PAGE = 4096
PROT_EXEC = 4
TASK_SIZE = 0x7ffffffff000
ALIVE, DEAD, STOPPED, LEADER_ENDED = 1, 2, 3, 1000
PARENT, LAZY, PRESENT = 1, 2, 4
O_CLOEXEC, O_TMPFILE = 0o2000000, 0o20200000
MAP_SHARED, MAP_PRIVATE, MAP_TYPE, MAP_DROPPABLE, MAP_LOCKED = 1, 2, 0xf, 8, 0x2000

# bits of vma_entry.status
(REGULAR, VSYSCALL, VDSO, HEAP, FILE_PRIVATE, FILE_SHARED, ANON_SHARED, ANON_PRIVATE, SYSVIPC, SOCKET, VVAR, AIORING,
 MEMFD, SHSTK, GUARD) = (1 << bit for bit in (0, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16))
# The combinations there are, HEAP aside.
KINDS_OF_AREA = {
    REGULAR | ANON_PRIVATE, REGULAR | FILE_PRIVATE, REGULAR | FILE_SHARED, REGULAR | FILE_PRIVATE | MEMFD,
    REGULAR | FILE_SHARED | MEMFD, REGULAR | ANON_SHARED, REGULAR | ANON_SHARED | SYSVIPC,
    REGULAR | ANON_PRIVATE | VDSO, REGULAR | ANON_PRIVATE | VVAR,
    VSYSCALL | ANON_PRIVATE, AIORING, REGULAR | SOCKET | FILE_SHARED,
    REGULAR | ANON_PRIVATE | SHSTK, GUARD,
}
KNOWN_ADVICE = sum(1 << bit for bit in (1, 2, 10, 12, 14, 15, 16, 18))

# type of file_entry: member. Other readers give up on unknown types, which is what the last one is for.
MEMBERS = {1: 'reg', 2: 'pipe', 3: 'fifo', 4: 'isk', 5: 'usk', 6: 'efd', 7: 'epfd', 8: 'ify', 9: 'sgfd', 10: 'psk',
           11: 'tty', 12: 'ffy', 13: 'nlsk', 14: 'nsf', 15: 'tunf', 16: 'ext', 17: 'tfd', 18: 'memfd', 19: 'bpf',
           20: 'pidfd', 1000: 'io_uring'}
REG, PIPE, FIFO, INET, EPOLL, INOTIFY, TTY, FANOTIFY, NS, MEMFD_FILE, IO_URING = 1, 2, 3, 4, 7, 8, 11, 12, 14, 18, 1000
LINKED, GHOST, PROCFS = 0, 1, 2
NO_NUMBER = (1 << 30) - 1

NAMESPACES = ('pid', 'net', 'ipc', 'uts', 'mnt', 'user', 'cgroup', 'time')
CREDS = ('uid', 'gid', 'euid', 'egid', 'suid', 'sgid', 'fsuid', 'fsgid', 'cap_inh', 'cap_prm', 'cap_eff', 'cap_bnd',
         'cap_amb', 'secbits')


class Set:
    def __init__(self, directory, work_dir):
        self.dir, self.work_dir, self.found, self.place = directory, work_dir, [], ''
        self.images, self.payloads, self.raw = {}, {}, {}
        for name in sorted(os.listdir(directory)):
            if name.endswith('.img') or name in imagefile.SERVICE_FILES:
                self.load(name)

    def load(self, name):
        path = os.path.join(self.dir, name)
        if name.startswith(imagefile.RAW_PREFIXES):
            self.raw[name] = os.path.getsize(path)
            return
        try:
            records = imagefile.read_records(path)
            self.images[imagefile.split_name(name)] = [values for values, _ in records]
            self.payloads[imagefile.split_name(name)] = [payload for _, payload in records]
        except Bad as bad:
            self.found.append('%s: %s' % (name, bad))
            return
        if not records:
            self.found.append('%s: without records it should not be there' % name)
        for values in self.images[imagefile.split_name(name)]:
            self.unknown(name, values)

    def unknown(self, name, values):
        """What no description names is misread by somebody; extensions are named in the .proto files."""
        for key, value in values.items():
            if key.startswith('?'):
                self.found.append('%s: unknown field %s' % (name, key[1:]))
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, dict):
                    self.unknown(name, each)

    def expect(self, condition, text, *args):
        if not condition:
            self.found.append('%s: %s' % (self.place, text % args))
        return bool(condition)

    def has(self, values, *names):
        for name in names:
            self.expect(name in values, '%s is absent', name)

    def lacks(self, values, *names):
        for name in names:
            self.expect(name not in values, '%s should be absent', name)

    def list(self, stem, number=None):
        self.place = '%s%s' % (stem, '' if number is None else '-%d' % number)
        return self.images.get((stem, number), [])

    def one(self, stem, number=None):
        records = self.list(stem, number)
        self.expect(len(records) == 1, '%d records, not one', len(records))
        return records[0] if records else {}


# --- the set as a whole -----------------------------------------------------------------------------------------------

def check_inventory(s):
    inventory = s.one('inventory')
    s.expect(inventory.get('img_version') == 2, 'version %s', inventory.get('img_version'))
    s.expect(inventory.get('fdinfo_per_id') and inventory.get('ns_per_id'), 'files are not named by their ids')
    s.expect(inventory.get('root_cg_set'), 'no cgroup set of the dumper')
    s.has(inventory, 'root_ids', 'lsmtype', 'network_lock_method', 'plugins_entry')
    s.expect(re.fullmatch('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', inventory.get('dump_criu_run_id', '')),
             'the id of the run is no UUID')
    s.has(inventory.get('root_ids', {}), *(name + '_ns_id' for name in NAMESPACES))
    s.lacks(inventory, 'pre_dump_mode')
    return inventory


def check_tree(s):
    entries, seen = s.list('pstree'), {}
    if not s.expect(entries, 'no tasks'):
        return entries
    s.expect(entries[0]['ppid'] == 0, 'the first task has a parent')
    for entry in entries:
        s.place = 'pstree, pid %d' % entry['pid']
        s.expect(entry['pid'] not in seen, 'is there twice')
        s.expect(entry is entries[0] or entry['ppid'] in seen, 'comes before its parent %d', entry['ppid'])
        s.expect(entry['pgid'] and entry['sid'], 'no session or group')
        s.expect(entry.get('threads'), 'no threads')
        if 'parent_tid' in entry:
            s.expect(entry['parent_tid'] in seen.get(entry['ppid'], [])[1:], 'is a child of thread %d',
                     entry['parent_tid'])
        seen[entry['pid']] = entry.get('threads', [])
    return entries


def check_clocks(s, root_ids, ids):
    number = 0 if ids.get('time_ns_id') == root_ids.get('time_ns_id') else ids.get('time_ns_id')
    s.one('timens', number)


# --- tasks ------------------------------------------------------------------------------------------------------------

def check_registers(s, core):
    info = core.get('thread_info', {})
    fpregs = info.get('fpregs', {})
    s.has(info, 'gpregs', 'fpregs', 'clear_tid_addr')
    s.has(info.get('gpregs', {}), 'mode')
    s.expect([tls['entry_number'] for tls in info.get('tls', [])] == [12, 13, 14], 'TLS slots')
    s.expect(len(fpregs.get('st_space', [])) == 32 and len(fpregs.get('xmm_space', [])) == 64, 'FPU registers')
    for name, count in (('ymmh_space', 64), ('bndreg_state', 8), ('bndcsr_state', 8), ('opmask_reg', 8),
                        ('zmm_upper', 64), ('hi16_zmm', 128), ('pkru', 2)):
        s.expect(len(fpregs.get('xsave', {}).get(name, [])) in (0, count), '%s is incomplete', name)


def check_thread_core(s, core, leader, cgroup_sets, filters):
    thread = core.get('thread_core', {})
    has_ended = core.get('tc', {}).get('task_state') == LEADER_ENDED
    s.has(core, 'thread_core')
    s.has(thread, 'sched_nice', 'sched_policy', 'sas', 'signals_p', 'creds', 'comm', 'cg_set')
    if has_ended:
        s.lacks(core, 'thread_info')
    else:
        s.has(core, 'thread_info')
        s.has(thread, 'rseq_entry')
    s.expect(('sched_prio' in thread) == (thread.get('sched_policy') in (1, 2)), 'real time priority')
    s.expect(leader == ('blk_sigset' not in thread), 'the signal mask is in the wrong place')
    s.expect(thread.get('pdeath_sig') != 0, 'no parent death signal should be no field')
    s.expect(len(thread.get('comm', '').encode()) < 16, 'comm is too long')
    s.expect(thread.get('cg_set') in cgroup_sets, 'cgroup set %s', thread.get('cg_set'))
    creds = thread.get('creds', {})
    s.has(creds, *CREDS)
    for name in CREDS[8:13]:
        s.expect(len(creds.get(name, [])) == 2, '%s is not two words', name)
    mode = thread.get('seccomp_mode')
    s.expect(mode in (None, 1, 2), 'seccomp mode %s', mode)
    s.expect((mode == 2) == ('seccomp_filter' in thread), 'seccomp mode and filter do not agree')
    s.expect(thread.get('seccomp_filter', -1) < len(filters), 'seccomp filter %s', thread.get('seccomp_filter'))
    if not has_ended:
        check_registers(s, core)
    check_signals(s, thread.get('signals_p', {}))


def check_signals(s, queue):
    for each in queue.get('signals', []):
        s.expect(len(each['siginfo']) == 128, 'a pending signal of %d bytes', len(each['siginfo']))


def check_task_core(s, tc):
    state = tc['task_state']
    if state == LEADER_ENDED:
        s.has(tc, 'leader_exit_code')
        state = tc.get('leader_task_state', 0)
    else:
        s.lacks(tc, 'leader_exit_code', 'leader_task_state')
    s.expect(state in (ALIVE, STOPPED), 'state %d', state)
    s.expect(('stop_signo' in tc) == (state == STOPPED), 'signal that stopped it')
    s.expect(tc['exit_code'] == 0, 'exit code of a living task')
    s.has(tc, 'timers', 'rlimits', 'signals_s', 'loginuid', 'oom_score_adj', 'child_subreaper')
    s.lacks(tc, 'cg_set', 'old_seccomp_mode', 'old_seccomp_filter')
    s.expect(len(tc.get('rlimits', {}).get('rlimits', [])) == 16, 'limits')
    actions = tc.get('sigactions', [])
    s.expect(len(actions) == 62, '%d signal actions', len(actions))
    for action in actions:
        s.has(action, 'compat_sigaction')
    s.expect(tc.get('membarrier_registration_mask') != 0, 'no registrations should be no field')
    check_signals(s, tc.get('signals_s', {}))
    ids = [timer['it_id'] for timer in tc.get('timers', {}).get('posix', [])]
    s.expect(ids == sorted(set(ids)), 'ids of timers: %s', ids)
    for timer in tc.get('timers', {}).get('posix', []):
        s.expect(('notify_thread_id' in timer) == bool(timer['it_sigev_notify'] & 4), 'thread of a timer')


def check_zombie(s, pid, core):
    tc = core.get('tc', {})
    s.lacks(core, 'thread_info', 'thread_core')
    s.lacks(tc, 'timers', 'rlimits', 'signals_s', 'sigactions', 'stop_signo')
    for stem in ('ids', 'mm', 'fs', 'pagemap'):
        s.expect((stem, pid) not in s.images, 'a zombie has %s-%d', stem, pid)


def check_ids(s, pid, vfork_child, seen, root_ids):
    ids = s.one('ids', pid)
    s.has(ids, *(name + '_ns_id' for name in NAMESPACES))
    if vfork_child is not None:
        child = s.one('ids', vfork_child)
        s.place = 'ids-%d' % pid
        s.expect(ids.get('vm_id') == child.get('vm_id'), 'vm_id is not that of its child of vfork')
    for name in ('fs_id', 'sighand_id') if vfork_child is not None else ('vm_id', 'fs_id', 'sighand_id'):
        s.expect(ids.get(name) not in seen.setdefault(name, {root_ids.get(name)}), '%s is shared', name)
        seen[name].add(ids.get(name))
    s.expect(ids.get('files_id') != root_ids.get('files_id'), 'files_id is that of the dumper')
    return ids


def check_filters(s):
    filters = s.one('seccomp').get('seccomp_filters', [])
    for i, each in enumerate(filters):
        s.expect('prev' not in each or each['prev'] == i - 1, 'filter %d follows %s', i, each.get('prev'))
        s.expect(len(each['filter']) % 8 == 0 and each['filter'], 'filter %d has %d bytes', i, len(each['filter']))
    return filters


# Fields of this program alone that a reader must not skip: the inventory names them, which other readers take for
# plugins that they do not have.
NEEDS_OF_TASK = {'ldt': 'ldt', 'exit_signal': 'exit_signal', 'requested_components': 'amx_permission',
                 'vfork_child': 'vfork'}
NEEDS_OF_THREAD = {'user_dispatch': 'syscall_user_dispatch', 'tsc_faults': 'tsc_faults', 'cpuid_faults': 'cpuid_faults',
                   'io_privilege': 'io_privilege'}


def needs_keys(mm):
    own = mm.get('execute_only_key', 0)
    return (mm.get('protection_keys', 1) != 1 or own > 1 or
            any(area.get('protection_key', 0) and (area['protection_key'], area['prot']) != (own, PROT_EXEC)
                for area in mm.get('vmas', [])))


def check_needs(s, inventory, root_pid):
    needs = set()
    for entry in s.list('pstree'):
        if 'parent_tid' in entry and any('pdeath_sig' in record.get('thread_core', {}) for tid in entry['threads']
                                         for record in s.images.get(('core', tid), [])):
            needs.add('death_signal_of_thread')
    for (stem, number), records in s.images.items():
        if stem != 'core':
            continue
        fields = dict(records[0].get('tc', {}))
        if number == root_pid:
            fields.pop('exit_signal', None)
        needs |= {name for field, name in NEEDS_OF_TASK.items() if field in fields}
        needs |= {name for field, name in NEEDS_OF_THREAD.items() if field in records[0].get('thread_core', {})}
    for (stem, number), records in s.images.items():
        if stem == 'mm' and needs_keys(records[0]):
            needs.add('protection_keys')
    names = inventory.get('plugins_entry', {}).get('plugins', [])
    s.place = 'inventory'
    s.expect(sorted(names) == sorted(needs), 'names %s, the tree needs %s', names, sorted(needs))


# --- memory -----------------------------------------------------------------------------------------------------------

def check_area(s, area, files):
    status, kind = area['status'], area['status'] & ~HEAP
    of_file = status & (FILE_PRIVATE | FILE_SHARED) and not status & SOCKET
    s.place = re.sub(', .*', '', s.place) + ', %x-%x' % (area['start'], area['end'])
    s.expect(area['start'] < area['end'] and not (area['start'] | area['end'] | area['pgoff']) % PAGE, 'alignment')
    s.expect(kind in KINDS_OF_AREA, 'status %#x', status)
    s.expect(area['fd'] == -1, 'fd %d', area['fd'])
    s.expect(('fdflags' in area) == bool(of_file), 'fdflags')
    s.expect(not area.get('madv', 0) & ~KNOWN_ADVICE, 'advice %#x', area.get('madv', 0))
    shared = status & (FILE_SHARED | ANON_SHARED | AIORING)
    s.expect(area['flags'] & MAP_TYPE in ((MAP_SHARED,) if shared else (MAP_PRIVATE, MAP_DROPPABLE)), 'MAP_* %#x',
             area['flags'])
    if of_file:
        s.expect(files.get(area['shmid'], {}).get('type') in ((MEMFD_FILE,) if status & MEMFD else (REG, IO_URING)),
                 'file %d', area['shmid'])
        s.expect(area.get('fdflags') in (0, 2), 'fdflags %s', area.get('fdflags'))
    elif not shared:
        s.expect(area['shmid'] == 0 and area['pgoff'] == 0, 'anonymous memory of an object')


def check_areas(s, mm, files):
    last, guards, modes = 0, False, {}
    for area in mm.get('vmas', []):
        check_area(s, area, files)
        if area['status'] & GUARD:
            guards = True
            continue
        s.expect(not guards, 'an area behind guards')
        s.expect(area['start'] >= last, 'out of order')
        last = area['end']
        if 'fdflags' in area:
            # A reader that opens a file once for all its mappings.
            s.expect(modes.setdefault(area['shmid'], area['fdflags']) == area['fdflags'],
                     'file %d is to be opened for reading and for writing', area['shmid'])


def check_mm(s, pid, files):
    mm = s.one('mm', pid)
    s.has(mm, 'dumpable', 'thp_disabled')
    s.expect(files.get(mm.get('exe_file_id'), {}).get('type') == REG, 'program %s', mm.get('exe_file_id'))
    auxv = mm.get('mm_saved_auxv', [])
    s.expect(auxv and len(auxv) % 2 == 0, '%d words in the auxiliary vector', len(auxv))
    s.expect(0 not in auxv[::2], 'the pair that ends the auxiliary vector')
    for low, high in (('start_code', 'end_code'), ('start_data', 'end_data'), ('start_brk', 'brk'),
                      ('arg_start', 'arg_end'), ('env_start', 'env_end')):
        s.expect(mm.get('mm_' + low, 0) <= mm.get('mm_' + high, 0), '%s above %s', low, high)
    check_areas(s, mm, files)
    return mm


def is_private(area):
    if area['status'] & (VVAR | GUARD) or area['flags'] & MAP_TYPE == MAP_DROPPABLE:
        return False
    return bool(area['status'] & (AIORING | SHSTK)) or area['end'] <= TASK_SIZE and bool(
        area['status'] & (ANON_PRIVATE | FILE_PRIVATE))


def check_pagemap(s, stem, number, used, spans):
    """spans: start, end and the area of what may have pages, ascending. Returns how many are present."""
    entries = s.list(stem, number)
    if not s.expect(entries, 'is absent'):
        return 0
    pages_id, last, present = entries[0]['pages_id'], 0, 0
    s.expect(pages_id not in used, 'pages-%d belongs to another one', pages_id)
    used.add(pages_id)
    for entry in entries[1:]:
        s.place = '%s-%d, %x' % (stem, number, entry['vaddr'])
        start, count, flags = entry['vaddr'], entry.get('nr_pages', entry['compat_nr_pages']), entry.get('flags', -1)
        end = start + count * PAGE
        s.has(entry, 'flags', 'nr_pages')
        s.lacks(entry, 'in_parent')
        s.expect(entry['compat_nr_pages'] in (0, count), 'two counts: %d and %d', entry['compat_nr_pages'], count)
        s.expect(count and not start % PAGE, 'alignment')
        s.expect(start >= last, 'out of order')
        s.expect(flags in (PRESENT, PRESENT | LAZY, PARENT, PARENT | LAZY, LAZY), 'flags %d', flags)
        if flags & PARENT:
            s.expect(os.path.islink(os.path.join(s.dir, 'parent')), 'pages of a parent, and there is none')
        present += count if flags & PRESENT else 0
        last = end
        while start < end:
            span = next((x for x in spans if x[0] <= start < x[1]), None)
            if not s.expect(span, 'pages outside of what has any'):
                break
            if flags & LAZY:
                area = span[2]
                s.expect(area['status'] & ANON_PRIVATE and not area['status'] & (VDSO | VVAR) and
                         not area['flags'] & MAP_LOCKED, 'cannot be lazy')
            start = span[1]
    s.place = '%s-%d' % (stem, number)
    size = s.raw.get('pages-%d.img' % pages_id)
    s.expect(size == present * PAGE, 'pages-%d.img has %s bytes for %d pages', pages_id, size, present)
    return present


def check_shared_memory(s, used):
    pages, inodes, contents = 0, {}, set()
    for inode in s.list('memfd'):
        s.place = 'memfd, inode %d' % inode['inode_id']
        s.has(inode, 'mode')
        s.expect(inode['inode_id'] not in inodes and inode['shmid'] not in contents, 'is there twice')
        inodes[inode['inode_id']] = inode
        contents.add(inode['shmid'])
        end = -(-inode['size'] // PAGE) * PAGE
        pages += check_pagemap(s, 'pagemap-shmem', inode['shmid'], used, [(0, end, None)])
    return pages, inodes


# --- files ------------------------------------------------------------------------------------------------------------

def check_files(s):
    files = {}
    for entry in s.list('files'):
        s.place = 'files, id %d' % entry['id']
        members = [name for name in MEMBERS.values() if name in entry]
        s.expect(entry['id'] and entry['id'] not in files, 'is there twice')
        s.expect(members == [MEMBERS.get(entry['type'])], 'type %d with %s', entry['type'], members)
        files[entry['id']] = entry
        if len(members) == 1:
            file = entry[members[0]]
            s.expect(file['id'] == entry['id'], 'its %s has id %d', members[0], file['id'])
            s.expect(not file.get('flags', 0) & O_CLOEXEC or entry['type'] == NS, 'O_CLOEXEC')
    return files


def check_regular(s, file):
    s.expect(file['name'].startswith('/') or file.get('ext'), 'name %s', file['name'])
    s.expect(file.get('mnt_id', -1) == -1 or any(stem == 'mountpoints' for stem, _ in s.images), 'mount %s',
             file.get('mnt_id'))
    s.has(file, 'mode')
    s.expect(file['flags'] & O_TMPFILE != O_TMPFILE, 'O_TMPFILE')
    s.expect(stat.S_IFMT(file.get('mode', 0)), 'a mode without a type')
    if stat.S_ISREG(file.get('mode', 0)) and file['flags'] & 0o2001 != 0o2001:
        s.has(file, 'size')


def check_pipe_data(s, stem, pipes):
    seen = set()
    for data in s.list(stem):
        s.place = '%s, pipe %d' % (stem, data['pipe_id'])
        s.expect(data['pipe_id'] in pipes, 'no file is an end of it')
        s.expect(data['pipe_id'] not in seen, 'is there twice')
        s.has(data, 'size')
        seen.add(data['pipe_id'])


def check_handle(s, handle):
    s.expect(len(handle.get('handle', [])) == 16, 'a handle of %d words', len(handle.get('handle', [])))


def check_file_kinds(s, files, inodes):
    of_type = {}
    for entry in files.values():
        of_type.setdefault(entry['type'], []).append(entry.get(MEMBERS.get(entry['type']), {}))
    for file in of_type.get(REG, []):
        s.place = 'files, id %d, %s' % (file['id'], file['name'])
        check_regular(s, file)
    for file in of_type.get(MEMFD_FILE, []):
        s.place = 'files, id %d' % file['id']
        s.expect(file['inode_id'] in inodes, 'memfd inode %d', file['inode_id'])
    for file in of_type.get(FIFO, []):
        s.place = 'files, id %d' % file['id']
        regular = files.get(file.get('regf_id'), {}).get('reg', {})
        s.expect(stat.S_ISFIFO(regular.get('mode', 0)), 'the path of the fifo is file %s', file.get('regf_id'))
    for file in of_type.get(PIPE, []):
        s.place = 'files, id %d' % file['id']
        s.expect(not file['flags'] & 0o40000, 'O_DIRECT')
    for file in of_type.get(EPOLL, []):
        for target in file.get('tfd', []):
            s.place = 'files, id %d' % file['id']
            s.has(target, 'dev', 'inode', 'pos')
    for file in of_type.get(INOTIFY, []):
        for watch in file.get('wd', []):
            s.place = 'files, id %d, watch %d' % (file['id'], watch['wd'])
            s.expect(watch['id'] == file['id'], 'of another file')
            s.expect(watch['i_ino'] and watch['s_dev'], 'an inode without number or device')
            check_handle(s, watch['f_handle'])
    for file in of_type.get(FANOTIFY, []):
        for mark in file.get('mark', []):
            s.place = 'files, id %d' % file['id']
            s.expect(mark['id'] == file['id'], 'a mark of another file')
            s.expect({1: 'ie', 2: 'me'}.get(mark['type']) in mark, 'a mark without its object')
            s.expect(mark['s_dev'] or 'me' in mark, 'a mark without device')
            s.expect('me' not in mark or mark['me']['mnt_id'], 'a mark without mount')
            if 'ie' in mark:
                s.expect(mark['ie']['i_ino'], 'a mark without inode')
                check_handle(s, mark['ie']['f_handle'])
    check_pipe_data(s, 'pipes-data', {file['pipe_id'] for file in of_type.get(PIPE, [])})
    check_pipe_data(s, 'fifo-data', {file['pipe_id'] for file in of_type.get(FIFO, [])})
    check_terminals(s, of_type.get(TTY, []), files)


def check_terminals(s, ttys, files):
    infos = {}
    for info in s.list('tty-info'):
        s.place = 'tty-info, id %d' % info['id']
        s.expect(info['id'] not in infos, 'is there twice')
        infos[info['id']] = info
        s.has(info, 'uid', 'gid', 'dev')
        if info['type'] == 1:
            index = info.get('pty', {}).get('index', -1)
            s.expect(info['id'] in (2 * index, 2 * index + 1), 'is not made of its index %d', index)
        if 'termios' in info:
            s.has(info, 'termios_locked', 'winsize')
            s.expect(len(info['termios'].get('c_cc', [])) == 19, 'control characters')
    for info in infos.values():
        other = infos.get(info['id'] ^ 1, info) if info['type'] == 1 else info
        s.place = 'tty-info, id %d' % info['id']
        s.expect(info['sid'] == other['sid'], 'session %d, of the other end %d', info['sid'], other['sid'])
    for file in ttys:
        s.place = 'files, id %d' % file['id']
        s.expect(file['tty_info_id'] in infos, 'terminal %d', file['tty_info_id'])
        s.expect(files.get(file.get('regf_id'), {}).get('type') == REG, 'path of the terminal')
    for data in s.list('tty-data'):
        s.place = 'tty-data, id %d' % data['tty_id']
        s.expect(data['tty_id'] in infos and len(data['data']) <= 16384, 'data of no terminal')


def check_remaps(s, files):
    for remap in s.list('remap-fpath'):
        s.place = 'remap-fpath, id %d' % remap['orig_id']
        kind = remap.get('remap_type')
        s.expect(files.get(remap['orig_id'], {}).get('type') == REG, 'no file')
        s.has(remap, 'remap_type')
        if kind == GHOST:
            s.expect(('ghost-file', remap['remap_id']) in s.images, 'ghost %d', remap['remap_id'])
        elif kind == LINKED:
            s.expect(files.get(remap['remap_id'], {}).get('type') == REG, 'link %d', remap['remap_id'])
    for (stem, number), records in s.images.items():
        if stem != 'ghost-file':
            continue
        s.place = 'ghost-file-%x' % number
        s.has(records[0], 'dev', 'ino', 'atim', 'mtim')
        s.expect(not records[0].get('chunks') or 'size' in records[0], 'chunks without a size')
        s.expect(not stat.S_ISLNK(records[0]['mode']) or 'symlnk_target' in records[0], 'a link to nothing')


def check_descriptors(s, files_id, files):
    seen = {}
    for fd in s.list('fdinfo', files_id):
        s.place = 'fdinfo-%d, fd %d' % (files_id, fd['fd'])
        s.expect(fd['fd'] not in seen, 'is there twice')
        s.expect(fd['flags'] in (0, 1), 'flags %d', fd['flags'])
        s.expect(files.get(fd['id'], {}).get('type') == fd['type'], 'file %d of type %d', fd['id'], fd['type'])
        seen[fd['fd']] = fd['id']
    return seen


def check_watched(s, files, descriptors):
    """Who knows no ids of targets takes them by their numbers; what no process has under one is under none that can be."""
    for entry in files.values():
        tables = [table for table in descriptors.values() if entry['id'] in table.values()]
        for target in entry.get('epfd', {}).get('tfd', []):
            s.place = 'files, id %d, target %d' % (entry['id'], target['tfd'])
            found = {table[target['tfd']] for table in tables if target['tfd'] in table}
            s.expect(target.get('target_id') in found or 'target_id' not in target and found or
                     target['tfd'] == NO_NUMBER, 'leads to %s, not to %s', found, target.get('target_id'))


def check_locks(s, descriptors):
    for lock in s.list('filelocks'):
        s.place = 'filelocks, pid %d, fd %d' % (lock['pid'], lock['fd'])
        s.expect(lock['flag'] in (1, 2, 4, 8), 'kind %d', lock['flag'])
        s.expect(lock['fd'] in descriptors.get(lock['pid'], ()), 'no such descriptor')


# --- all together -----------------------------------------------------------------------------------------------------

def check_living(s, entry, vfork_child, root, files, seen, used):
    pid = entry['pid']
    fs = s.one('fs', pid)
    for name in ('cwd_id', 'root_id'):
        s.expect(files.get(fs.get(name), {}).get('type') == REG, '%s is %s', name, fs.get(name))
    s.has(fs, 'umask')
    ids = check_ids(s, pid, vfork_child, seen, root)
    if vfork_child is not None:
        for stem in ('mm', 'pagemap'):
            s.expect((stem, pid) not in s.images, 'who waits in a vfork has %s-%d', stem, pid)
        return ids, 0
    mm = check_mm(s, pid, files)
    spans = [(area['start'], area['end'], area) for area in mm.get('vmas', []) if is_private(area)]
    return ids, check_pagemap(s, 'pagemap', pid, used, spans)


def check_statistics(s, pages, shared_pages):
    path = os.path.join(s.work_dir, 'stats-dump')
    s.place = 'stats-dump'
    if not s.expect(os.path.exists(path), 'is absent'):
        return
    stats = imagefile.read(path)[0].get('dump', {})
    s.has(stats, 'irmap_resolve', 'page_pipes', 'page_pipe_bufs', 'shpages_scanned', 'shpages_skipped_parent',
          'shpages_written')
    s.expect(stats.get('pages_written') == pages, '%s pages written, %d in the images', stats.get('pages_written'),
             pages)
    s.expect(stats.get('shpages_written') == shared_pages, '%s shared pages written, %d in the images',
             stats.get('shpages_written'), shared_pages)
    s.expect(stats.get('pages_scanned', 0) >= pages, 'fewer pages scanned than written')


def check(s):
    root = check_inventory(s)
    root_ids, seen, used, pages, descriptors = root.get('root_ids', {}), {}, set(), 0, {}
    cgroups = s.images.get(('cgroup', None), [{}])[0]
    cgroup_sets = {root.get('root_cg_set')} | {each['id'] for each in cgroups.get('sets', [])}
    entries = check_tree(s)
    filters = check_filters(s)
    files = check_files(s)
    shared_pages, inodes = check_shared_memory(s, used)
    for entry in entries:
        core = s.one('core', entry['pid'])
        s.expect(core.get('mtype') == 1, 'processor %s', core.get('mtype'))
        s.lacks(core, 'ids')
        s.has(core, 'tc')
        if core.get('tc', {}).get('task_state') == DEAD:
            check_zombie(s, entry['pid'], core)
            continue
        if 'tc' in core:
            check_task_core(s, core['tc'])
        check_thread_core(s, core, True, cgroup_sets, filters)
        s.expect(entry['threads'][0] == entry['pid'], 'the first thread is not the leader')
        for tid in entry['threads'][1:]:
            thread = s.one('core', tid)
            s.lacks(thread, 'tc')
            check_thread_core(s, thread, False, cgroup_sets, filters)
        vfork_child = core.get('tc', {}).get('vfork_child')
        ids, written = check_living(s, entry, vfork_child, root_ids, files, seen, used)
        pages += written
        descriptors[entry['pid']] = check_descriptors(s, ids.get('files_id', 0), files)
        if entry is entries[0]:
            check_clocks(s, root_ids, ids)
    check_file_kinds(s, files, inodes)
    check_remaps(s, files)
    check_locks(s, descriptors)
    check_watched(s, files, descriptors)
    check_needs(s, root, entries[0]['pid'] if entries else 0)
    check_statistics(s, pages, shared_pages)
    s.place = 'pages'
    s.expect({'pages-%d.img' % each for each in used} == {name for name in s.raw if name.startswith('pages-')},
             'files that no page map names')


def main():
    s = Set(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else sys.argv[1])
    check(s)
    for line in s.found:
        print(line)
    return 1 if s.found else 0


if __name__ == '__main__':
    sys.exit(main())
