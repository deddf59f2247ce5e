#!/usr/bin/env python3
"""edit-image.py FILE [@NAME[=VALUE]] CHANGE ...: changes a record of an image: the first one, or the first that has a
field NAME, with that value; an image that is not there is made. NAME=VALUE sets a field, NAME= makes an empty message of
it, NAME=[] an empty list, -NAME removes it; names may go down into messages by dots, into lists by numbers (the one
behind the last adds to the list, those below 0 count from its end). A value is a number, bytes (0x: and hexadecimal
digits; 0x:*BB: so many bytes as there are, each of them BB), or else text."""
import os
import sys

import imagefile


def parse(value):
    if value.startswith('0x:'):
        return bytes.fromhex(value[3:])
    return int(value) if value.lstrip('-').isdigit() else value


def go_down(message, names):
    """To what holds the last of the names."""
    for step, behind in zip(names, names[1:]):
        absent = [] if behind.isdigit() else {}
        if isinstance(message, list):
            if int(step) == len(message):
                message.append(absent)
            message = message[int(step)]
        else:
            message = message.setdefault(step, absent)
    return message


def change(message, text):
    name, sets, value = text.partition('=')
    names = (name if sets else name[1:]).split('.')
    message, last = go_down(message, names), names[-1]
    if isinstance(message, list):
        last = int(last)
        if sets and last == len(message):
            message.append(None)
    if not sets:
        del message[last]
    elif not value:
        message[last] = {}
    elif value == '[]':
        message[last] = []
    elif value.startswith('0x:*'):
        message[last] = bytes.fromhex(value[4:]) * len(message[last])
    elif last == 'plugins':
        message[last] = value.split(',')
    else:
        message[last] = parse(value)


def has(message, wanted):
    name, with_value, value = wanted.partition('=')
    for step in name.split('.'):
        if step not in message:
            return False
        message = message[step]
    return not with_value or message == parse(value)


records = imagefile.read_records(sys.argv[1]) if os.path.exists(sys.argv[1]) else [({}, b'')]
changes = sys.argv[2:]
record = records[0][0]
if changes[0].startswith('@'):
    record = next(each for each, _ in records if has(each, changes[0][1:]))
    del changes[0]
for each in changes:
    change(record, each)
imagefile.write_records(sys.argv[1], records)
