"""The host at the other end of the cable: ARP, ping and UDP echo, and nothing for what is damaged."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.devices.network import HOST_ADDRESS, HOST_IP, answer, sum16

ME, MY_IP = bytes.fromhex("525400123456"), bytes((10, 0, 2, 15))


def ethernet(kind: int, body: bytes, to: bytes = HOST_ADDRESS) -> bytes:
    return to + ME + kind.to_bytes(2, "big") + body


def ip(protocol: int, body: bytes) -> bytes:
    bare = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, 0, 64, protocol, 0, MY_IP, HOST_IP)
    return bare[:10] + sum16(bare).to_bytes(2, "big") + bare[12:] + body


def ping(data: bytes) -> bytes:
    bare = struct.pack(">BBHHH", 8, 0, 0, 1, 2) + data
    return bare[:2] + sum16(bare).to_bytes(2, "big") + bare[4:]


def udp(data: bytes, port: int = 7) -> bytes:
    return struct.pack(">HHHH", 5000, port, 8 + len(data), 0) + data


def test_the_example_of_the_rfc():
    assert sum16(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2 ^ 0xFFFF


def test_arp():
    request = struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, ME, MY_IP, bytes(6), HOST_IP)
    (reply,) = answer(ethernet(0x0806, request, b"\xff" * 6))
    assert reply[:6] == ME
    assert reply[22:32] == HOST_ADDRESS + HOST_IP
    assert answer(ethernet(0x0806, request[:-1] + b"\x09", b"\xff" * 6)) == [], "somebody else is asked for"


@given(st.binary(max_size=1400))
def test_an_echo_holds_what_was_sent(data):
    (reply,) = answer(ethernet(0x0800, ip(1, ping(data))))
    packet = reply[14:]
    assert sum16(packet[:20]) == 0
    assert sum16(packet[20:]) == 0
    assert packet[12:20] == HOST_IP + MY_IP
    assert packet[20] == 0
    assert packet[28:] == data
    (reply,) = answer(ethernet(0x0800, ip(17, udp(data))))
    packet = reply[14:]
    pseudo = HOST_IP + MY_IP + struct.pack(">BBH", 0, 17, 8 + len(data))
    assert sum16(pseudo + packet[20:]) == 0
    assert packet[20:24] == struct.pack(">HH", 7, 5000)
    assert packet[28:] == data


@pytest.mark.parametrize("damage", [14, 16, 24, 30, 34, 36, 42])
def test_a_damaged_packet_is_not_answered(damage):
    frame = bytearray(ethernet(0x0800, ip(1, ping(b"data"))))
    assert answer(bytes(frame))
    frame[damage] ^= 0x10
    assert answer(bytes(frame)) == []


def test_another_port_is_not_answered():
    assert answer(ethernet(0x0800, ip(17, udp(b"x", port=53)))) == []


@given(st.binary(max_size=100), st.sampled_from([b"", b"\x08\x00", b"\x08\x06"]))
def test_no_frame_makes_it_fail(body, kind):
    assert isinstance(answer(HOST_ADDRESS + ME + kind + body), list)
    assert isinstance(answer(body), list)
