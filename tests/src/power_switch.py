"""Shuts a file system down at the moment its standard input says so: what it holds in memory is gone, as at a power cut.

usage: power_switch.py MOUNT_POINT; prints "ready", waits for a line, cuts, prints "cut".
"""
import fcntl, os, struct, sys

FS_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2

mount = os.open(sys.argv[1], os.O_RDONLY)
print("ready", flush=True)
if sys.stdin.readline():
    fcntl.ioctl(mount, FS_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
    print("cut", flush=True)
