"""Reads and writes image files, independently of the program: its own decoder of the wire format and table of files.

A message is a dictionary from field name to value, with lists for repeated fields and numbers for enums; a field that
is absent is not in it. Fields the .proto files do not name are under "?NUMBER". Names and types of the fields come from
the .proto files, the table below is written out from the description of the format.
"""
import os
import re
import struct
import sys

COMMON_MAGIC = 0x54564319
SERVICE_MAGIC = 0x55105940
INVENTORY_MAGIC = 0x58313116

# name: magic, message (a second one: of the records after the first)
FILES = {
    'pstree': (0x50273030, 'pstree_entry'),
    'core': (0x55053847, 'core_entry'),
    'ids': (0x54432030, 'task_kobj_ids_entry'),
    'mm': (0x57492820, 'mm_entry'),
    'fs': (0x51403912, 'fs_entry'),
    'fdinfo': (0x56213732, 'fdinfo_entry'),
    'pagemap': (0x56084025, 'pagemap_head', 'pagemap_entry'),
    'pagemap-shmem': (0x56084025, 'pagemap_head', 'pagemap_entry'),
    'files': (0x56303138, 'file_entry'),
    'remap-fpath': (0x59133954, 'remap_file_path_entry'),
    'ghost-file': (0x52583605, 'ghost_file_entry', 'ghost_chunk_entry'),
    'memfd': (0x48453499, 'memfd_inode_entry'),
    'pipes-data': (0x56453709, 'pipe_data_entry'),
    'fifo-data': (0x59333054, 'pipe_data_entry'),
    'sk-queues': (0x56264026, 'sk_packet_entry'),
    'tcp-stream': (0x51465506, 'tcp_stream_entry'),
    'tty-info': (0x59453036, 'tty_info_entry'),
    'tty-data': (0x59413026, 'tty_data_entry'),
    'filelocks': (0x54323616, 'file_lock_entry'),
    'cgroup': (0x59383330, 'cgroup_entry'),
    'seccomp': (0x64413049, 'seccomp_entry'),
    'cpuinfo': (0x61404013, 'cpuinfo_entry'),
    'bpfmap-data': (0x64324033, 'bpfmap_data_entry'),
    'utsns': (0x54473203, 'utsns_entry'),
    'timens': (0x43114433, 'timens_entry'),
    'pidns': (0x61157326, 'pidns_entry'),
    'userns': (0x55474906, 'userns_entry'),
    'mountpoints': (0x55563928, 'mnt_entry'),
    'ipcns-var': (0x53115007, 'ipc_var_entry'),
    'ipcns-shm': (0x46283044, 'ipc_shm_entry'),
    'ipcns-sem': (0x59573019, 'ipc_sem_entry'),
    'netdev': (0x57373951, 'net_device_entry'),
    'netns': (0x55933752, 'netns_entry'),
    # of old versions
    'reg-files': (0x50363636, 'reg_file_entry'),
    'ns-files': (0x61394011, 'ns_file_entry'),
    'eventfd': (0x44523722, 'eventfd_file_entry'),
    'eventpoll': (0x45023858, 'eventpoll_file_entry'),
    'eventpoll-tfd': (0x44433746, 'eventpoll_tfd_entry'),
    'signalfd': (0x57323820, 'signalfd_entry'),
    'inotify': (0x48424431, 'inotify_file_entry'),
    'inotify-wd': (0x54562009, 'inotify_wd_entry'),
    'fanotify': (0x55096122, 'fanotify_file_entry'),
    'fanotify-mark': (0x56506035, 'fanotify_mark_entry'),
    'pipes': (0x56513555, 'pipe_entry'),
    'fifo': (0x58364939, 'fifo_entry'),
    'unixsk': (0x54373943, 'unix_sk_entry'),
    'inetsk': (0x56443851, 'inet_sk_entry'),
    'tty': (0x59433025, 'tty_file_entry'),
    'timerfd': (0x50493712, 'timerfd_entry'),
    'vmas': (0x54123737, 'vma_entry'),
    'sigacts': (0x55344201, 'sa_entry'),
    'itimers': (0x57464056, 'itimer_entry'),
    'posix-timers': (0x52603957, 'posix_timer_entry'),
    'creds': (0x54023547, 'creds_entry'),
    'rlimit': (0x57113925, 'rlimit_entry'),
    'signal-s': (0x59255647, 'siginfo_entry'),
    'signal-p': (0x59255647, 'siginfo_entry'),
}
SERVICE_FILES = {
    'stats-dump': (0x57093306, 'stats_entry'),
    'stats-restore': (0x57093306, 'stats_entry'),
    'irmap-cache': (0x57004059, 'irmap_cache_entry'),
}
RAW_PREFIXES = ('pages-', 'tmpfs-dev-', 'ifaddr-', 'route-', 'route6-', 'rule-', 'iptables-', 'ip6tables-', 'nftables-',
                'netns-ct-', 'netns-exp-')
# How many raw bytes follow a message.
PAYLOADS = {
    'pipe_data_entry': lambda m: m['bytes'],
    'sk_packet_entry': lambda m: m['length'],
    'ghost_chunk_entry': lambda m: m['len'],
    'tcp_stream_entry': lambda m: m.get('inq_len', 0) + m.get('outq_len', 0),
    'bpfmap_data_entry': lambda m: m['keys_bytes'] + m['values_bytes'],
}

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
SCALARS = {
    'uint32': VARINT, 'uint64': VARINT, 'int32': VARINT, 'int64': VARINT, 'sint32': VARINT, 'sint64': VARINT,
    'bool': VARINT, 'fixed64': FIXED64, 'fixed32': FIXED32, 'string': BYTES, 'bytes': BYTES,
}


class Bad(Exception):
    pass


class Field:
    def __init__(self, label, kind, name, number):
        self.label, self.kind, self.name, self.number = label, kind, name, number


def load_schema(directory):
    """Messages by name: {field number: Field}. Enums are known by not being messages."""
    messages = {}
    for name in sorted(os.listdir(directory)):
        if not name.endswith('.proto'):
            continue
        with open(os.path.join(directory, name)) as f:
            text = re.sub(r'//.*', '', f.read())
        open_blocks = []
        for piece in re.split(r'(?<=[;{}])', text):
            piece = ' '.join(piece.split())
            block = re.match(r'(message|enum) (\w+) \{$', piece)
            field = re.match(r'(required|optional|repeated) \.?([\w.]+) (\w+) = (\d+)', piece)
            if block:
                open_blocks.append(block[2] if block[1] == 'message' else None)
                if block[1] == 'message':
                    messages.setdefault(block[2], {})
            elif piece == '}':
                open_blocks.pop()
            elif field and open_blocks[-1]:
                messages[open_blocks[-1]][int(field[4])] = Field(field[1], field[2], field[3], int(field[4]))
    return messages


SCHEMA = load_schema(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../images'))


# --- the wire format --------------------------------------------------------------------------------------------------

def get_varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Bad('a number runs out of its message')
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value & (1 << 64) - 1, at


def put_varint(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def wire_type(kind):
    return SCALARS.get(kind, BYTES if kind in SCHEMA else VARINT)


def to_value(kind, raw):
    if kind in SCHEMA:
        return decode(kind, raw)
    if kind == 'string':
        return raw.decode('utf-8', 'surrogateescape')
    if kind == 'bytes':
        return bytes(raw)
    if kind in ('sint32', 'sint64'):
        return raw >> 1 ^ -(raw & 1)
    if kind in ('int32', 'int64'):
        return raw - (1 << 64) if raw >> 63 else raw
    if kind == 'bool':
        return bool(raw)
    if kind == 'uint32' and raw >> 32:
        raise Bad('%d is no 32 bit number' % raw)
    return raw


def decode(message, data):
    fields, result, at, last = SCHEMA[message], {}, 0, 0
    while at < len(data):
        key, at = get_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            raw, at = get_varint(data, at)
        elif wire == BYTES:
            size, at = get_varint(data, at)
            raw, at = data[at:at + size], at + size
            if at > len(data):
                raise Bad('%s: field %d is cut off' % (message, number))
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            raw, at = int.from_bytes(data[at:at + size], 'little'), at + size
        else:
            raise Bad('%s: field %d has wire type %d' % (message, number, wire))
        if number < last:
            raise Bad('%s: field %d after field %d' % (message, number, last))
        last = number
        field = fields.get(number)
        if not field:
            result.setdefault('?%d' % number, []).append(raw)
        elif wire != wire_type(field.kind):
            raise Bad('%s.%s has wire type %d' % (message, field.name, wire))
        elif field.label == 'repeated':
            result.setdefault(field.name, []).append(to_value(field.kind, raw))
        elif field.name in result:
            raise Bad('%s.%s is there twice' % (message, field.name))
        else:
            result[field.name] = to_value(field.kind, raw)
    for field in fields.values():
        if field.label == 'required' and field.name not in result:
            raise Bad('%s.%s is required and absent' % (message, field.name))
    return result


def encode(message, values):
    out = bytearray()
    unknown = set(values) - {field.name for field in SCHEMA[message].values()}
    if unknown:
        raise Bad('%s has no %s' % (message, ', '.join(sorted(unknown))))
    for number, field in sorted(SCHEMA[message].items()):
        if field.name not in values:
            if field.label == 'required':
                raise Bad('%s.%s is required and absent' % (message, field.name))
            continue
        value = values[field.name]
        for each in value if field.label == 'repeated' else [value]:
            wire = wire_type(field.kind)
            out += put_varint(number << 3 | wire)
            if field.kind in SCHEMA:
                each = encode(field.kind, each)
            elif field.kind == 'string':
                each = each.encode('utf-8', 'surrogateescape')
            elif field.kind in ('sint32', 'sint64'):
                each = (each << 1) ^ (each >> 63)
            if wire == VARINT:
                out += put_varint(int(each))
            elif wire == BYTES:
                out += put_varint(len(each)) + each
            else:
                out += struct.pack('<Q' if wire == FIXED64 else '<I', each)
    return bytes(out)


# --- files ------------------------------------------------------------------------------------------------------------

def split_name(name):
    """("core", 12) for "core-12.img", ("files", None) for "files.img"."""
    if name in SERVICE_FILES:
        return name, None
    stem = name[:-len('.img')] if name.endswith('.img') else name
    if stem in FILES or stem == 'inventory':
        return stem, None
    prefix, _, number = stem.rpartition('-')
    if prefix in FILES and re.fullmatch('[0-9a-f]+', number):
        return prefix, int(number, 16 if prefix in ('ghost-file', 'tcp-stream') else 10)
    raise Bad('%s is the name of no image' % name)


def layout(name):
    """The magics a file begins with and its messages."""
    stem, _ = split_name(name)
    if stem == 'inventory':
        return [INVENTORY_MAGIC], ['inventory_entry']
    if stem in SERVICE_FILES:
        return [SERVICE_MAGIC, SERVICE_FILES[stem][0]], list(SERVICE_FILES[stem][1:])
    return [COMMON_MAGIC, FILES[stem][0]], list(FILES[stem][1:])


def read_records(path):
    """Pairs of message and payload. What follows an unchunked ghost file is the payload of its head."""
    with open(path, 'rb') as f:
        data = f.read()
    magics, messages = layout(os.path.basename(path))
    start = struct.pack('<%dI' % len(magics), *magics)
    if data[:len(start)] != start:
        raise Bad('magic %s' % data[:len(start)].hex())
    at, records = len(start), []
    while at < len(data):
        message = messages[min(len(records), len(messages) - 1)]
        if at + 4 > len(data):
            raise Bad('%d bytes behind the last record' % (len(data) - at))
        size = struct.unpack_from('<I', data, at)[0]
        at += 4
        if at + size > len(data):
            raise Bad('record %d is cut off' % len(records))
        values = decode(message, data[at:at + size])
        at += size
        follows = PAYLOADS.get(message, lambda m: 0)(values)
        if message == 'ghost_file_entry' and not values.get('chunks'):
            follows = len(data) - at
        if at + follows > len(data):
            raise Bad('what follows record %d is cut off' % len(records))
        records.append((values, data[at:at + follows]))
        at += follows
    return records


def read(path):
    return [values for values, _ in read_records(path)]


def write_records(path, records, magics=None):
    default, messages = layout(os.path.basename(path))
    with open(path, 'wb') as f:
        f.write(b''.join(struct.pack('<I', m) for m in (default if magics is None else magics)))
        for i, (values, payload) in enumerate(records):
            data = encode(messages[min(i, len(messages) - 1)], values)
            f.write(struct.pack('<I', len(data)) + data + payload)


def write(path, entries, magics=None):
    write_records(path, [(values, b'') for values in entries], magics)


def main():
    for path in sys.argv[1:]:
        print(os.path.basename(path))
        for values, payload in read_records(path):
            print('   ', values, '+%d' % len(payload) if payload else '')


if __name__ == '__main__':
    main()
