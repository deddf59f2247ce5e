#!/usr/bin/env python3
"""edit-image.py FILE CHANGE ...: changes the first record of an image. NAME=VALUE sets a field, NAME= makes an empty
message of it, -NAME removes it; names may go down into messages by dots. A value is a number, or else text."""
import sys

import imagefile


def change(message, text):
    name, sets, value = text.partition('=')
    *path, last = name.lstrip('-').split('.')
    for step in path:
        message = message.setdefault(step, {})
    if not sets:
        message.pop(last, None)
    elif not value:
        message[last] = {}
    elif last == 'plugins':
        message[last] = value.split(',')
    else:
        message[last] = int(value) if value.lstrip('-').isdigit() else value


records = imagefile.read_records(sys.argv[1])
for each in sys.argv[2:]:
    change(records[0][0], each)
imagefile.write_records(sys.argv[1], records)
