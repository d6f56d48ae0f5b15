"""Inner packets, byte by byte."""
import ipaddress
import struct


def checksum(data):
    data += b"\0" * (len(data) % 2)
    n = sum(struct.unpack(f">{len(data) // 2}H", data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff


def packet(source, destination, protocol, payload, at):
    """IPv4 or IPv6 by the destination; the checksum at offset `at` of the payload is filled in."""
    s, d = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    assert s.version == d.version
    pseudo = s.packed + d.packed + struct.pack(">II", len(payload), protocol)
    payload = payload[:at] + struct.pack(">H", checksum(pseudo + payload) or 0xffff) + payload[at + 2:]
    if s.version == 6:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + s.packed + d.packed + payload
    h = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + s.packed + d.packed
    return h[:10] + struct.pack(">H", checksum(h)) + h[12:] + payload


def udp(source, destination, port, text, source_port=40000):
    return packet(source, destination, 17, struct.pack(">HHHH", source_port, port, 8 + len(text), 0) + text, 6)


def tcp_syn(source, destination, port, source_port=40000):
    return packet(source, destination, 6,
                  struct.pack(">HHIIBBHHH", source_port, port, 1, 0, 5 << 4, 2, 65535, 0, 0), 16)
