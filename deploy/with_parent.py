"""Becomes another program that ends when its parent does: ``python with_parent.py PROGRAM ARG...``."""

import os
import sys

from common.process.parent_death import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - becoming the program is the purpose
