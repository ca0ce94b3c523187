"""Runs programs side by side and says what they cost: wall time, CPU time, memory.

Client CPU comes from the kernel's account of each ended child, so nothing is missed between samples.
Memory is the largest sum of resident sizes over the process trees, sampled every 20 ms, or the largest
single process, whichever is more (never below about 15 MB: a new process starts as a copy of this one). Server CPU is read from /proc: the server's processes and, for
PostgreSQL, the ended backends that the postmaster has waited for.
"""

import os
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLE_SECONDS = 0.02


def processes():
    """Every process's /proc/PID/stat fields after the command name: [1] parent, [11:15] times, [21] pages."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    text = file.read()
            except OSError:
                continue
            found[int(entry)] = text[text.rindex(")") + 2 :].split()
    return found


def tree(roots, table):
    children = {}
    for pid, fields in table.items():
        children.setdefault(int(fields[1]), []).append(pid)
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in table:
            found.append(pid)
        waiting += children.get(pid, [])
    return found


def server_cpu(root):
    if root is None:
        return 0.0
    table = processes()
    ticks = sum(int(n) for pid in tree([root], table) for n in table[pid][11:13])
    return (ticks + sum(int(n) for n in table[root][13:15])) / TICK


def machine_busy():
    with open("/proc/stat") as file:
        ticks = [int(n) for n in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICK


def end(pids):
    for pid in pids:
        os.killpg(pid, signal.SIGKILL)


def run(commands, server, log, limit):
    """Runs the commands at once until all have ended; a dict of what they cost together."""
    server_before, busy_before, start = server_cpu(server), machine_busy(), time.monotonic()
    running = set()
    try:
        with open(log, "wb") as sink:
            for command in commands:
                # Standard output goes nowhere: raw reads are timed without a disk behind them.
                child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=sink, start_new_session=True
                )
                running.add(child.pid)
        client, peak, failed = wait(running, start + limit)
    finally:
        end(running)
    wall = time.monotonic() - start
    time.sleep(0.2)  # until the server has waited for the backends of the ended clients
    server_used = server_cpu(server) - server_before
    span = time.monotonic() - start
    others = machine_busy() - busy_before - client - server_used
    return {
        "ok": not failed,
        "wall_s": wall,
        "client_cpu_s": client,
        "server_cpu_s": server_used,
        "peak_mb": peak / 2**20,
        # share of the machine that neither the client nor the server used: noise when above 0.1
        "others": max(0.0, others) / (span * os.cpu_count()),
    }


def wait(running, deadline):
    """Until the set `running` is empty: (CPU seconds, peak bytes, whether one failed)."""
    client = peak = 0.0
    failed = False
    while running:
        for pid in list(running):
            done, status, usage = os.wait4(pid, os.WNOHANG)
            if done:
                running.discard(pid)
                failed = failed or status != 0
                client += usage.ru_utime + usage.ru_stime
                peak = max(peak, usage.ru_maxrss * 1024)
        table = processes()
        peak = max(peak, sum(int(table[pid][21]) for pid in tree(running, table)) * PAGE)
        if time.monotonic() > deadline:
            end(running)
        time.sleep(SAMPLE_SECONDS)
    return client, peak, failed
