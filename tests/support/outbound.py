"""A network of its own for a command: every address answers there, and every packet to another machine shows.

`python -m tests.support.outbound RECORD COMMAND…` runs the command and writes to RECORD, as JSON, whom it
tried to reach. All routes lead back to the loopback interface, so that an attempt fails at once; none leaves.
It ends with the command's exit code, or with UNABLE and the reason where this system grants no namespaces.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

UNABLE = 77
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, RTM_NEWROUTE = 0x1, 0x4, 0x400, 24
RTA_OIF, RTA_PREFSRC, RT_TABLE_LOCAL, RTN_LOCAL, RT_SCOPE_HOST = 4, 7, 255, 2, 254
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, SO_ATTACH_FILTER, DNS = 0x0003, 0x0800, 0x86DD, 26, 53
RESOLVER = {"/etc/resolv.conf": "nameserver 192.0.2.53\n", "/etc/nsswitch.conf": "hosts: files dns\n"}
"""Names are asked for by packets, not through a service of the machine, which has its own network."""

LD_PROTOCOL, LD_WORD, LD_HALF, LD_HALF_AT_X, LDX_HEADER = 0x20, 0x20, 0x28, 0x48, 0xB1
AND, JUMP_IF, RETURN = 0x54, 0x15, 0x06
PROTOCOL = 0xFFFFF000
KEEP, DROP = (RETURN, 0, 0, 0xFFFF), (RETURN, 0, 0, 0)
FILTER = (
    (LD_PROTOCOL, 0, 0, PROTOCOL),
    (JUMP_IF, 0, 7, ETH_P_IP),
    # IPv4: kept unless it goes to 127.0.0.0/8, but for questions for names.
    (LD_WORD, 0, 0, 16),
    (AND, 0, 0, 0xFF000000),
    (JUMP_IF, 0, 15, 0x7F000000),
    (LDX_HEADER, 0, 0, 0),
    (LD_HALF_AT_X, 0, 0, 2),
    (JUMP_IF, 12, 0, DNS),
    DROP,
    (JUMP_IF, 0, 11, ETH_P_IPV6),
    # IPv6: the same, with ::1.
    (LD_WORD, 0, 0, 24),
    (JUMP_IF, 0, 8, 0),
    (LD_WORD, 0, 0, 28),
    (JUMP_IF, 0, 6, 0),
    (LD_WORD, 0, 0, 32),
    (JUMP_IF, 0, 4, 0),
    (LD_WORD, 0, 0, 36),
    (JUMP_IF, 0, 2, 1),
    (LD_HALF, 0, 0, 42),
    (JUMP_IF, 0, 1, DNS),
    KEEP,
    DROP,
)
"""Classic BPF (man 4 bpf): what Ray's processes say to one another would fill the socket's buffer."""


KINDS = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp"}
LAST = ("198.51.100.1", 9)


def main(record: Path, command: Sequence[str]) -> int:
    try:
        enter()
        listener = listen()
    except OSError as error:
        print(f"no network of one's own: {error}", file=sys.stderr)
        return UNABLE
    seen: set[str] = set()
    threading.Thread(target=collect, args=(listener, seen), daemon=True).start()
    code = subprocess.run(command, check=False).returncode
    # Packets arrive in order: once this one is here, all of the command's are.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"", LAST)
    while f"udp {LAST[0]}:{LAST[1]}" not in seen:
        time.sleep(0.01)
    record.write_text(json.dumps(sorted(seen - {f"udp {LAST[0]}:{LAST[1]}"})), encoding="utf-8")
    return code


def enter() -> None:
    """Take a network and a view of the files of one's own. Raises OSError where that is not granted."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        require(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS))
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    require(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    for path, text in RESOLVER.items():
        if Path(path).exists():
            with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.chmod(file.name, 0o644)
                require(libc.mount(file.name.encode(), path.encode(), None, MS_BIND, None))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    lead_back(socket.AF_INET, socket.inet_pton(socket.AF_INET, "127.0.0.1"))
    with suppress(OSError):
        # Where there is no IPv6, nothing is sent by it.
        lead_back(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, "::1"))


def require(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def lead_back(family: int, source: bytes) -> None:
    """`ip route add local default dev lo src SOURCE`: every address is this machine (man 7 rtnetlink)."""
    content = struct.pack("=8BI", family, 0, 0, 0, RT_TABLE_LOCAL, 0, RT_SCOPE_HOST, RTN_LOCAL, 0)
    content += struct.pack("=HHI", 8, RTA_OIF, socket.if_nametoindex("lo"))
    content += struct.pack("=HH", 4 + len(source), RTA_PREFSRC) + source
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(content), RTM_NEWROUTE, flags, 1, 0) + content)
        (code,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if code != 0:
        raise OSError(-code, os.strerror(-code))


def listen() -> socket.socket:
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    program = ctypes.create_string_buffer(
        b"".join(struct.pack("=HBBI", *instruction) for instruction in FILTER)
    )
    listener.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(FILTER), ctypes.addressof(program))
    )
    listener.bind(("lo", 0))
    return listener


def collect(listener: socket.socket, seen: set[str]) -> None:
    while True:
        seen.update(receivers(listener.recv(65536)))


def receivers(packet: bytes) -> Iterator[str]:
    """Whom a packet is for, and which name it asks for."""
    if packet[0] >> 4 == 4:
        start, kind, host = (packet[0] & 15) * 4, packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20])
    else:
        start, kind, host = 40, packet[6], f"[{socket.inet_ntop(socket.AF_INET6, packet[24:40])}]"
    if kind not in KINDS:
        return
    (port,) = struct.unpack_from("!H", packet, start + 2)
    name = asked_for(packet[start + 20 :]) if kind == socket.IPPROTO_UDP and port == DNS else ""
    yield f"{KINDS[kind]} {host}:{port}{name and ' for '}{name}"


def asked_for(question: bytes) -> str:
    """The name in a question of DNS (RFC 1035, 4.1.2)."""
    labels, place = [], 0
    while question[place]:
        labels.append(question[place + 1 : place + 1 + question[place]].decode("ascii", "replace"))
        place += 1 + question[place]
    return ".".join(labels)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
