"""A network of one host, 10.0.2.2, at the other end of the card's cable: it answers ARP, ping, and UDP echo (port 7).

A function from a frame to the frames that answer it, without a state and without the host's own network: so it
needs no privileges, and the same question gets the same answer every time.

Sources: RFC 826 (ARP), RFC 791 (IP), RFC 792 (ICMP echo), RFC 768 and 862 (UDP, echo).
"""

import struct

__all__ = ["HOST_ADDRESS", "HOST_IP", "answer", "sum16"]

HOST_IP = bytes((10, 0, 2, 2))
HOST_ADDRESS = bytes.fromhex("52550a000202")
ARP, IP = 0x0806, 0x0800
ICMP, UDP = 1, 17
ECHO_PORT = 7
REQUEST, REPLY = 1, 2
ARP_BODY = struct.Struct(">HHBBH6s4s6s4s")
IP_HEADER = struct.Struct(">BBHHHBBH4s4s")


def sum16(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of some bytes; 0 over data that hold theirs."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def answer(frame: bytes) -> list[bytes]:
    """The frames that come back for one that was sent; nothing for what is not for this host, or is damaged."""
    if len(frame) < 14 or frame[:6] not in (HOST_ADDRESS, b"\xff" * 6):
        return []
    sender, kind, body = frame[6:12], int.from_bytes(frame[12:14], "big"), frame[14:]
    reply = _arp(body) if kind == ARP else _ip(body) if kind == IP else b""
    return [sender + HOST_ADDRESS + frame[12:14] + reply] if reply else []


def _arp(body: bytes) -> bytes:
    if len(body) < ARP_BODY.size:
        return b""
    hardware, protocol, hlen, plen, operation, address, ip, _, target = ARP_BODY.unpack_from(body)
    if (hardware, protocol, hlen, plen, operation, target) != (1, IP, 6, 4, REQUEST, HOST_IP):
        return b""
    return ARP_BODY.pack(1, IP, 6, 4, REPLY, HOST_ADDRESS, HOST_IP, address, ip)


def _ip(packet: bytes) -> bytes:
    if len(packet) < IP_HEADER.size:
        return b""
    first, _, length, number, fragment, _, protocol, _, source, target = IP_HEADER.unpack_from(packet)
    header = 4 * (first & 0x0F)
    whole = first >> 4 == 4 and IP_HEADER.size <= header <= length <= len(packet) and not fragment & 0x3FFF
    if not whole or target != HOST_IP or sum16(packet[:header]):
        return b""
    content = packet[header:length]
    body = _icmp(content) if protocol == ICMP else _udp(content, source) if protocol == UDP else b""
    if not body:
        return b""
    bare = IP_HEADER.pack(0x45, 0, IP_HEADER.size + len(body), number, 0, 64, protocol, 0, HOST_IP, source)
    return bare[:10] + sum16(bare).to_bytes(2, "big") + bare[12:] + body


def _icmp(content: bytes) -> bytes:
    if len(content) < 8 or content[0] != 8 or content[1] or sum16(content):
        return b""
    bare = b"\0\0\0\0" + content[4:]
    return bare[:2] + sum16(bare).to_bytes(2, "big") + bare[4:]


def _udp(content: bytes, source: bytes) -> bytes:
    if len(content) < 8:
        return b""
    sport, dport, length, given = struct.unpack_from(">HHHH", content)
    data = content[8:length]
    pseudo = source + HOST_IP + struct.pack(">BBH", 0, UDP, length)
    if dport != ECHO_PORT or not 8 <= length <= len(content) or (given and sum16(pseudo + content[:length])):
        return b""
    bare = struct.pack(">HHHH", dport, sport, length, 0) + data
    pseudo = HOST_IP + source + struct.pack(">BBH", 0, UDP, length)
    return bare[:6] + (sum16(pseudo + bare) or 0xFFFF).to_bytes(2, "big") + data
