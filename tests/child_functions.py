"""What the tests ask a child process to do, most of it bad manners."""

import ctypes
import os
import subprocess
import sys
import time


def double(argument, say):
    say({"working on": argument})
    return 2 * argument


def fail(argument, say):
    raise ValueError("this went wrong")


def leave_politely(argument, say):
    sys.exit(3)


def vanish(argument, say):
    os._exit(argument)


def crash(argument, say):
    ctypes.string_at(0)


def hang(argument, say):
    while True:
        time.sleep(1)


def eat(argument, say):
    eaten = []
    while True:
        eaten.append(b"x" * 100_000_000)
        time.sleep(0.05)


def hang_with_offspring(path, say):
    other = subprocess.Popen(["sleep", "600"])
    with open(f"{path}.new", "w") as file:
        file.write(f"{os.getpid()} {other.pid}")
    os.rename(f"{path}.new", path)
    hang(None, say)
