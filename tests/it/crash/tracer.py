"""Runs a program under ptrace and disturbs the n-th file system call below one directory.

strace's fault injection counts calls for each thread by itself, so that some calls of a program
with threads can never be met; this counts over all of them. One request a line in JSON on standard
input, one answer a line on standard output. A request:

    cwd, argv, env   what to run
    root             only calls that change something below this directory count
    at               number of the call to disturb, from 1; 0 only watches
    signal / errno   kills the whole program before the call, or makes the call fail without effect

An answer: status, stderr, calls (kind, call and path of each, in order; "disturbed" marks the one).
Works on x86-64 Linux.
"""

import ctypes
import json
import os
import signal
import struct
import sys

TRACEME, PEEKUSER_REGS, CONT_SYSCALL, SETOPTIONS, POKEUSER, SYSCALL_INFO = 0, 3, 24, 0x4200, 6, 0x420E
SYSGOOD, FORK, VFORK, CLONE, EXEC, EXITKILL = 1, 2, 4, 8, 16, 0x100000
ALL_CHILDREN = 0x40000000  # __WALL
RAX, ORIG_RAX = 10 * 8, 15 * 8  # offsets in struct user
AT_FDCWD = 0xFFFFFF9C
WRITABLE, CREATE = 0o3, 0o100

# number: (name, kind, where the path is: "p0" = path in argument 0, "at0" = directory descriptor and
# path from argument 0 on, "fd0" = descriptor in argument 0)
CALLS = {
    1: ("write", "write", "fd0"), 18: ("pwrite64", "write", "fd0"), 20: ("writev", "write", "fd0"),
    296: ("pwritev", "write", "fd0"), 326: ("copy_file_range", "write", "fd2"),
    40: ("sendfile", "write", "fd0"), 77: ("ftruncate", "write", "fd0"),
    76: ("truncate", "write", "p0"), 285: ("fallocate", "write", "fd0"),
    74: ("fsync", "fsync", "fd0"), 75: ("fdatasync", "fsync", "fd0"),
    277: ("sync_file_range", "fsync", "fd0"), 306: ("syncfs", "fsync", "fd0"),
    82: ("rename", "rename", "p1"), 264: ("renameat", "rename", "at2"), 316: ("renameat2", "rename", "at2"),
    86: ("link", "rename", "p1"), 265: ("linkat", "rename", "at2"),
    88: ("symlink", "rename", "p1"), 266: ("symlinkat", "rename", "at1"),
    83: ("mkdir", "mkdir", "p0"), 258: ("mkdirat", "mkdir", "at0"),
    87: ("unlink", "unlink", "p0"), 84: ("rmdir", "unlink", "p0"), 263: ("unlinkat", "unlink", "at0"),
    2: ("open", "create", "p0"), 85: ("creat", "create", "p0"), 257: ("openat", "create", "at0"),
    437: ("openat2", "create", "at0"),
    90: ("chmod", "chmod", "p0"), 91: ("fchmod", "chmod", "fd0"), 268: ("fchmodat", "chmod", "at0"),
}

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, address=0, data=0):
    result = libc.ptrace(request, pid, address, data)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


class Entry:
    """A system call that is about to happen."""

    def __init__(self, tid):
        buffer = ctypes.create_string_buffer(88)
        ptrace(SYSCALL_INFO, tid, 88, ctypes.addressof(buffer))
        self.tid = tid
        self.entering = buffer.raw[0] == 1
        self.number, *self.args = struct.unpack_from("<7Q", buffer.raw, 24)

    def text(self, address):
        with open(f"/proc/{self.tid}/mem", "rb", 0) as memory:
            memory.seek(address)
            return memory.read(4096 - address % 4096).split(b"\0")[0].decode(errors="replace")

    def descriptor(self, number):
        try:
            return os.readlink(f"/proc/{self.tid}/fd/{ctypes.c_int(number).value}")
        except OSError:
            return ""

    def path(self, where):
        index = int(where[-1])
        if where.startswith("fd"):
            return self.descriptor(self.args[index])
        if where.startswith("at"):
            folder, index = self.args[index] & 0xFFFFFFFF, index + 1
            base = os.readlink(f"/proc/{self.tid}/cwd") if folder == AT_FDCWD else self.descriptor(folder)
        else:
            base = os.readlink(f"/proc/{self.tid}/cwd")
        return os.path.normpath(os.path.join(base, self.text(self.args[index])))

    def described(self, root):
        """(call, kind, path) if it changes something below root"""
        known = CALLS.get(self.number)
        if known is None:
            return None
        name, kind, where = known
        if name in ("open", "openat") and not self.args[1 if name == "open" else 2] & CREATE:
            return None
        path = self.path(where)
        if path != root and not path.startswith(root + "/"):
            return None
        return name, kind, path[len(root) + 1:] or "."


class Run:
    def __init__(self, request):
        self.request = request
        self.calls = []
        self.failing = set()  # threads whose present call was replaced by none
        self.inside = set()  # threads in a system call
        self.fresh = set()  # threads not yet seen
        self.known = set()

    def start(self):
        request = self.request
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.chdir(request["cwd"])
            null = os.open("/dev/null", os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            os.dup2(write, 2)
            ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execve(request["argv"][0], request["argv"], request["env"])
        os.close(write)
        os.waitpid(pid, ALL_CHILDREN)
        ptrace(SETOPTIONS, pid, 0, SYSGOOD | FORK | VFORK | CLONE | EXEC | EXITKILL)
        ptrace(CONT_SYSCALL, pid)
        self.known.add(pid)
        return pid, read

    def system_call(self, tid):
        entry = Entry(tid)
        if not entry.entering:
            if tid in self.failing:
                self.failing.discard(tid)
                ptrace(POKEUSER, tid, RAX, -self.request["errno"] & 0xFFFFFFFFFFFFFFFF)
            return
        found = entry.described(self.request["root"])
        if found is None:
            return
        name, kind, path = found
        call = {"call": name, "kind": kind, "path": path}
        self.calls.append(call)
        if len(self.calls) == self.request["at"]:
            call["disturbed"] = True
            if "signal" in self.request:
                os.kill(self.pid, self.request["signal"])
            else:
                ptrace(POKEUSER, tid, ORIG_RAX, 0xFFFFFFFFFFFFFFFF)
                self.failing.add(tid)

    def stopped(self, tid, status):
        """What to do with a stopped thread: the signal to hand on."""
        which, event = os.WSTOPSIG(status), status >> 16
        if which == signal.SIGTRAP | 0x80:
            self.system_call(tid)
            return 0
        if event:
            return 0
        if which == signal.SIGSTOP and tid not in self.known:
            self.known.add(tid)
            return 0
        return which

    def run(self):
        self.pid, read = self.start()
        result = None
        while True:
            try:
                tid, status = os.waitpid(-1, ALL_CHILDREN)
            except ChildProcessError:
                break
            if not os.WIFSTOPPED(status):
                if tid == self.pid:
                    result = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
                continue
            try:
                ptrace(CONT_SYSCALL, tid, 0, self.stopped(tid, status))
            except (ProcessLookupError, FileNotFoundError):
                pass  # killed meanwhile
        with os.fdopen(read, "rb") as stderr:
            text = stderr.read().decode(errors="replace")
        return {"status": result, "stderr": text, "calls": self.calls}


def main():
    for line in sys.stdin:
        try:
            answer = Run(json.loads(line)).run()
        except Exception as error:  # the caller shows it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
