"""An nbdkit plugin: a disk with a volatile write cache that writes back out of order.

Writes are held in memory by block. A flush puts all of them on the platter (the image file), a
write with FUA puts its own blocks there. Between flushes the disk destages blocks of its own
accord, picked at random, so that a later write can be on the platter when an earlier one is not.
Killing the process is the power cut: what is still in memory is gone.

Parameters: image=FILE destage=PROBABILITY (a random block after each write) seed=NUMBER stats=FILE
"""

import builtins
import os
import random

import nbdkit

API_VERSION = 2
BLOCK_BYTES = 4096

image = None
stats_path = None
destage = 0.5
chance = random.Random(1)
platter = -1
platter_bytes = 0
pending = {}  # block number -> bytes of the whole block, not yet on the platter
counted = {"writes": 0, "flushes": 0, "fua": 0, "destaged": 0}


def config(key, value):
    global image, stats_path, destage, chance
    if key == "image":
        image = os.path.abspath(value)
    elif key == "stats":
        stats_path = os.path.abspath(value)
    elif key == "destage":
        destage = float(value)
    elif key == "seed":
        chance = random.Random(int(value))
    else:
        raise RuntimeError(f"unknown parameter {key}")


def config_complete():
    if image is None:
        raise RuntimeError("image=FILE is needed")


def thread_model():
    return nbdkit.THREAD_MODEL_SERIALIZE_ALL_REQUESTS


def get_ready():
    global platter, platter_bytes
    platter = os.open(image, os.O_RDWR)
    platter_bytes = os.fstat(platter).st_size
    if platter_bytes % BLOCK_BYTES:
        raise RuntimeError(f"the image is not a whole number of blocks of {BLOCK_BYTES} bytes")


def open(readonly):
    return True


def get_size(handle):
    return platter_bytes


def can_write(handle):
    return True


def can_flush(handle):
    return True


def can_fua(handle):
    return nbdkit.FUA_NATIVE


def can_multi_conn(handle):
    return False


def pieces(offset, length):
    """The parts of a request that lie in one block each: block, from, to, place in the request."""
    done = 0
    while done < length:
        block, start = divmod(offset + done, BLOCK_BYTES)
        end = min(BLOCK_BYTES, start + length - done)
        yield block, start, end, done
        done += end - start


def block_now(block):
    held = pending.get(block)
    return held if held is not None else os.pread(platter, BLOCK_BYTES, block * BLOCK_BYTES)


def put_on_platter(block):
    os.pwrite(platter, pending.pop(block), block * BLOCK_BYTES)


def pread(handle, buffer, offset, flags):
    for block, start, end, place in pieces(offset, len(buffer)):
        buffer[place : place + end - start] = block_now(block)[start:end]


def pwrite(handle, buffer, offset, flags):
    for block, start, end, place in pieces(offset, len(buffer)):
        changed = bytearray(block_now(block))
        changed[start:end] = buffer[place : place + end - start]
        pending[block] = bytes(changed)
        if flags & nbdkit.FLAG_FUA:
            put_on_platter(block)
    counted["writes"] += 1
    counted["fua"] += 1 if flags & nbdkit.FLAG_FUA else 0
    if pending and chance.random() < destage:
        put_on_platter(chance.choice(list(pending)))
        counted["destaged"] += 1
    tell()


def flush(handle, flags):
    for block in list(pending):
        put_on_platter(block)
    counted["flushes"] += 1
    tell()


def tell():
    """Every few requests, because a power cut leaves no time for a last word."""
    if stats_path and (counted["writes"] + counted["flushes"]) % 16 == 0:
        words = " ".join(f"{key}={value}" for key, value in counted.items())
        with builtins.open(stats_path, "w") as stats:
            stats.write(f"{words} pending={len(pending)}\n")
