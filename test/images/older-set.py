#!/usr/bin/env python3
"""older-set.py DIR: rewrites an image set as other versions, or an incremental dump, would have left it.

FORM (from the environment) says how:
  old      one magic instead of two, a file per type of open file with ids that repeat from type to type, process state
           in files of its own, page maps without flags, none of the fields that came later
  chain    two thirds of the pages are in a parent set or in the parent's parent, and what a newer set replaces is a hole
           there
  newer    fields that nobody knows yet in each message, fields in another order, lists of numbers packed into one field
  reused   in the same directory there is what an older dump of other processes left, and files of the oldest versions
"""
import glob
import os
import sys

import imagefile

PAGE = 4096
PARENT, LAZY, PRESENT = 1, 2, 4
REG, FIFO, FILE_TYPES_IN_AREAS = 1, 3, 1 << 6 | 1 << 7
REGULAR_AREA, ANON_SHARED_AREA, MEMFD_AREA = 1, 1 << 8, 1 << 14
MAP_ANONYMOUS = 0x20
GHOST = 1

# type of file: member, image
OLD_FILES = {1: ('reg', 'reg-files'), 2: ('pipe', 'pipes'), 3: ('fifo', 'fifo'), 6: ('efd', 'eventfd'),
             7: ('epfd', 'eventpoll'), 8: ('ify', 'inotify'), 9: ('sgfd', 'signalfd'), 11: ('tty', 'tty'),
             12: ('ffy', 'fanotify'), 14: ('nsf', 'ns-files'), 17: ('tfd', 'timerfd')}
WATCHES = {7: ('tfd', 'eventpoll-tfd'), 8: ('wd', 'inotify-wd'), 12: ('mark', 'fanotify-mark')}


def drop(values, *names):
    for name in names:
        values.pop(name, None)


class Set:
    def __init__(self, directory):
        self.dir = directory

    def path(self, name):
        return os.path.join(self.dir, name)

    def names(self, pattern):
        return sorted(os.path.basename(path) for path in glob.glob(self.path(pattern)))

    def edit(self, pattern, change):
        for name in self.names(pattern):
            entries = imagefile.read(self.path(name))
            change(entries, name)
            imagefile.write(self.path(name), entries)


# --- old --------------------------------------------------------------------------------------------------------------

def split_process(s):
    def split(entries, name):
        core, number = entries[0], imagefile.split_name(name)[1]
        tc, thread = core.get('tc'), core.get('thread_core')
        if not thread:
            return

        def put(stem, records):
            if records:
                imagefile.write(s.path('%s-%d.img' % (stem, number)), records)

        put('signal-p', thread.pop('signals_p').get('signals'))
        if not tc:
            return
        timers = tc.pop('timers')
        put('sigacts', tc.pop('sigactions'))
        put('itimers', [timers['real'], timers['virt'], timers['prof']])
        put('posix-timers', timers.get('posix'))
        put('rlimit', tc.pop('rlimits')['rlimits'])
        put('signal-s', tc.pop('signals_s').get('signals'))
        put('creds', [thread.pop('creds')])
        tc['cg_set'] = thread.pop('cg_set')
        if 'seccomp_mode' in thread and len(s.names('core-*.img')) == 1:
            tc['old_seccomp_mode'] = thread.pop('seccomp_mode')
            if 'seccomp_filter' in thread:
                tc['old_seccomp_filter'] = thread.pop('seccomp_filter')
    s.edit('core-*.img', split)


def share_anonymous(s):
    """Memory shared with children was no file."""
    inodes = imagefile.read(s.path('memfd.img')) if s.names('memfd.img') else []
    files = imagefile.read(s.path('files.img'))
    contents = {inode['inode_id']: inode['shmid'] for inode in inodes if inode['name'] == '/dev/zero'}
    shared = {entry['id']: contents[entry['memfd']['inode_id']] for entry in files
              if entry.get('memfd', {}).get('inode_id') in contents}

    def share(entries, _):
        for area in entries[0]['vmas']:
            if area['status'] & MEMFD_AREA and area['shmid'] in shared:
                area.update(shmid=shared[area['shmid']], status=REGULAR_AREA | ANON_SHARED_AREA,
                            flags=area['flags'] | MAP_ANONYMOUS)
                drop(area, 'fdflags')
    s.edit('mm-*.img', share)
    imagefile.write(s.path('files.img'), [entry for entry in files if entry['id'] not in shared])
    left = [inode for inode in inodes if inode['inode_id'] not in contents]
    if left:
        imagefile.write(s.path('memfd.img'), left)
    elif inodes:
        os.unlink(s.path('memfd.img'))


def split_memory(s):
    def split(entries, name):
        areas = entries[0].pop('vmas')
        for area in areas:
            if not area['status'] & MEMFD_AREA:
                drop(area, 'fdflags')
        imagefile.write(s.path('vmas-%d.img' % imagefile.split_name(name)[1]), areas)

    def drop_flags(entries, _):
        for entry in entries[1:]:
            entry['compat_nr_pages'] = entry.pop('nr_pages')
            drop(entry, 'flags')
    share_anonymous(s)
    s.edit('mm-*.img', split)
    s.edit('pagemap-*.img', drop_flags)


def number_by_type(files):
    """New ids by type and old id: each type begins with 1. A fifo has the id of its path."""
    ids, last = {}, {}
    for entry in files:
        last[entry['type']] = last.get(entry['type'], 0) + 1
        ids[entry['type'], entry['id']] = last[entry['type']]
    for entry in files:
        if entry['type'] == FIFO:
            ids[FIFO, entry['id']] = ids[REG, entry['fifo']['regf_id']]
    return ids


def names_targets(entry):
    """An epoll with targets that only the id of their file tells: no older version had that."""
    return any('target_id' in target for target in entry.get('epfd', {}).get('tfd', []))


def split_files(s):
    files = imagefile.read(s.path('files.img'))
    if any(entry['type'] not in OLD_FILES or names_targets(entry) for entry in files):
        return
    ids, of_type, watches = number_by_type(files), {}, {}
    for entry in files:
        member, _ = OLD_FILES[entry['type']]
        file = entry[member]
        file['id'] = ids[entry['type'], file['id']]
        if entry['type'] == FIFO:
            drop(file, 'regf_id')
        elif 'regf_id' in file:
            file['regf_id'] = ids[REG, file['regf_id']]
        for watch in file.pop(WATCHES[entry['type']][0], []) if entry['type'] in WATCHES else []:
            # What another version does not know of a descriptor by number cannot be named by an id either.
            drop(watch, 'target_id', 'number')
            watch['id'] = file['id']
            watches.setdefault(entry['type'], []).append(watch)
        of_type.setdefault(entry['type'], []).append(file)
    os.unlink(s.path('files.img'))
    for kind, entries in of_type.items():
        imagefile.write(s.path(OLD_FILES[kind][1] + '.img'), entries)
    for kind, entries in watches.items():
        imagefile.write(s.path(WATCHES[kind][1] + '.img'), entries)
    rename_references(s, ids)


def rename_references(s, ids):
    def descriptors(entries, _):
        for fd in entries:
            fd['id'] = ids[fd['type'], fd['id']]

    def directories(entries, _):
        for name in ('cwd_id', 'root_id'):
            entries[0][name] = ids[REG, entries[0][name]]

    def program(entries, _):
        entries[0]['exe_file_id'] = ids[REG, entries[0]['exe_file_id']]

    def areas(entries, _):
        for area in entries:
            if area['status'] & FILE_TYPES_IN_AREAS:
                area['shmid'] = ids[REG, area['shmid']]

    def remaps(entries, _):
        for remap in entries:
            remap['orig_id'] = ids[REG, remap['orig_id']]
    for pattern, change in (('fdinfo-*.img', descriptors), ('fs-*.img', directories), ('mm-*.img', program),
                            ('vmas-*.img', areas), ('remap-fpath.img', remaps)):
        s.edit(pattern, change)


def forget_later_fields(s):
    has_namespaces = bool(s.names('ns-files.img'))

    def inventory(entries, _):
        entries[0]['img_version'] = 1
        drop(entries[0], 'lsmtype', 'network_lock_method', 'plugins_entry', 'dump_criu_run_id', 'root_cg_set', 'images')
        if not has_namespaces:
            drop(entries[0]['root_ids'], 'cgroup_ns_id', 'time_ns_id')

    def ids(entries, _):
        if not has_namespaces:
            drop(entries[0], 'cgroup_ns_id', 'time_ns_id')

    def cores(entries, _):
        drop(entries[0].get('tc', {}), 'cg_set')
        for action in entries[0].get('tc', {}).get('sigactions', []):
            drop(action, 'compat_sigaction')

    def files(entries, _):
        for file in entries:
            drop(file.get('reg', file), 'mode', 'size', 'build_id', 'mnt_id')

    def remaps(entries, _):
        for remap in entries:
            if remap.get('remap_type') == GHOST:
                remap['remap_id'] |= 1 << 31
                drop(remap, 'remap_type')

    def actions(entries, _):
        for action in entries:
            drop(action, 'compat_sigaction')
    for pattern, change in (('inventory.img', inventory), ('ids-*.img', ids), ('core-*.img', cores),
                            ('reg-files.img', files), ('remap-fpath.img', remaps), ('sigacts-*.img', actions)):
        s.edit(pattern, change)
    # Of a tree in a time namespace of its own the image has another number, and stays.
    if os.path.exists(s.path('timens-0.img')):
        os.unlink(s.path('timens-0.img'))
    if not imagefile.read(s.path('seccomp.img'))[0]:
        os.unlink(s.path('seccomp.img'))


def drop_common_magic(s):
    for name in s.names('*.img'):
        if name == 'inventory.img' or name.startswith('pages-'):
            continue
        with open(s.path(name), 'rb') as f:
            data = f.read()
        with open(s.path(name), 'wb') as f:
            f.write(data[4:])


def make_old(s):
    split_process(s)
    split_memory(s)
    split_files(s)
    forget_later_fields(s)
    drop_common_magic(s)


# --- chain ------------------------------------------------------------------------------------------------------------

class Pages:
    """A page map that is being written, and its pages."""

    def __init__(self, directory, name, pages_id):
        self.map, self.entries = os.path.join(directory, name), [{'pages_id': pages_id}]
        self.pages = open(os.path.join(directory, 'pages-%d.img' % pages_id), 'wb')

    def add(self, vaddr, flags, content, old_way):
        last = self.entries[-1]
        if flags & PRESENT:
            if content is None:
                self.pages.seek(PAGE, os.SEEK_CUR)
            else:
                self.pages.write(content)
        if last.get('flags') == flags and last['vaddr'] + last['nr_pages'] * PAGE == vaddr:
            last['nr_pages'] += 1
            return
        self.entries.append({'vaddr': vaddr, 'nr_pages': 1, 'flags': flags, 'old_way': old_way})

    def finish(self):
        for entry in self.entries[1:]:
            entry['compat_nr_pages'] = 0
            if entry.pop('old_way'):
                entry['compat_nr_pages'] = entry.pop('nr_pages')
                entry['in_parent'] = bool(entry.pop('flags') & PARENT)
        imagefile.write(self.map, self.entries)
        self.pages.truncate()
        self.pages.close()


def split_pages(s, name, sets):
    """Page by page: here, in the parent, in the parent's parent. What is here, the parent had in an older version, too."""
    entries = imagefile.read(s.path(name))
    with open(s.path('pages-%d.img' % entries[0]['pages_id']), 'rb') as f:
        content = f.read()
    os.unlink(s.path('pages-%d.img' % entries[0]['pages_id']))
    maps = [Pages(directory, name, entries[0]['pages_id'] + 100 * i) for i, directory in enumerate(sets)]
    at = count = 0
    for entry in entries[1:]:
        for page in range(entry['nr_pages']):
            vaddr, flags = entry['vaddr'] + page * PAGE, entry['flags'] & ~PRESENT
            data = content[at:at + PAGE]
            at += PAGE
            depth = count // 2 % 3
            count += 1
            for i, each in enumerate(maps):
                if i < depth:
                    each.add(vaddr, flags | PARENT if i == 0 else PARENT, None, i == 1)
                elif i == depth:
                    each.add(vaddr, flags | PRESENT if i == 0 else PRESENT, data, False)
                elif i == 1:
                    each.add(vaddr, PRESENT, None, False)
    for each in maps:
        each.finish()


def make_chain(s):
    sets = [s.dir, s.dir + '.parent', s.dir + '.parent.parent']
    for child, parent in zip(sets, sets[1:]):
        os.mkdir(parent)
        os.symlink(os.path.join('..', os.path.basename(parent)), os.path.join(child, 'parent'))
        imagefile.write(os.path.join(parent, 'inventory.img'), [{'img_version': 0, 'pre_dump_mode': 1}])
    for name in s.names('pagemap-*.img'):
        split_pages(s, name, sets)


# --- newer ------------------------------------------------------------------------------------------------------------

UNKNOWN = [(900, 0, 5), (901, 2, b'unknown'), (902, 1, 7), (903, 5, 9), (536870911, 2, b'\x08\x01')]


def put_field(number, wire, value):
    key = imagefile.put_varint(number << 3 | wire)
    if wire == imagefile.VARINT:
        return key + imagefile.put_varint(value)
    if wire == imagefile.BYTES:
        return key + imagefile.put_varint(len(value)) + value
    return key + value.to_bytes(8 if wire == imagefile.FIXED64 else 4, 'little')


def put_packed(field, values):
    wire = imagefile.wire_type(field.kind)
    return put_field(field.number, imagefile.BYTES, b''.join(
        imagefile.put_varint(value) if wire == imagefile.VARINT else
        value.to_bytes(8 if wire == imagefile.FIXED64 else 4, 'little') for value in values))


def encode_newer(message, values):
    """Like imagefile.encode(), with the last field first."""
    out = bytearray().join(put_field(*each) for each in UNKNOWN)
    for number, field in sorted(imagefile.SCHEMA[message].items(), reverse=True):
        if field.name not in values:
            continue
        value = values[field.name]
        if field.kind in imagefile.SCHEMA:
            for each in value if field.label == 'repeated' else [value]:
                out += put_field(number, imagefile.BYTES, encode_newer(field.kind, each))
        elif field.label == 'repeated' and imagefile.wire_type(field.kind) != imagefile.BYTES:
            out += put_packed(field, value)
        else:
            out += encode_alone(message, {field.name: value})
    return bytes(out)


def encode_alone(message, values):
    """Fields without those that are required beside them."""
    fields = {number: field for number, field in imagefile.SCHEMA[message].items() if field.name in values}
    name = 'alone'
    imagefile.SCHEMA[name] = fields
    data = ENCODE(name, values)
    del imagefile.SCHEMA[name]
    return data


ENCODE = imagefile.encode


def make_newer(s):
    for name in s.names('*.img'):
        if name.startswith('pages-'):
            continue
        records = imagefile.read_records(s.path(name))
        imagefile.encode = encode_newer
        imagefile.write_records(s.path(name), records)
        imagefile.encode = ENCODE


# --- reused -----------------------------------------------------------------------------------------------------------

def make_reused(s):
    root = imagefile.read(s.path('pstree.img'))[0]['pid']
    for stem in ('core', 'ids', 'mm', 'fs', 'pagemap'):
        with open(s.path('%s-%d.img' % (stem, root)), 'rb') as f:
            data = f.read()
        with open(s.path('%s-%d.img' % (stem, root + 100000)), 'wb') as f:
            f.write(data)
    for name in ('fdinfo-9999.img', 'ghost-file-ff.img', 'pages-9999.img', 'tty-data.img.new', 'cgroup.img.old',
                 'reg-files.img', 'eventpoll.img', 'eventpoll-tfd.img', 'pipes.img', 'sigacts-%d.img' % root,
                 'creds-%d.img' % root, 'vmas-%d.img' % root, 'restore.log', 'stats-restore'):
        with open(s.path(name), 'wb') as f:
            f.write(b'of an older dump')


if __name__ == '__main__':
    {'old': make_old, 'chain': make_chain, 'newer': make_newer, 'reused': make_reused}[os.environ['FORM']](Set(sys.argv[1]))
