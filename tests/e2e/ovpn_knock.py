"""OpenVPN's first packets by hand (reference A3, A4, A6), for what a stock client does not do: knock and go
away, answer and fall silent, stop in the middle of a ClientHello, ask from many places at once."""
import hashlib
import hmac
import os
import ssl
import struct
import time

import ovpn_client
import ovpn_pki

CLIENT_V2, SERVER_V2, CONTROL, ACK, CLIENT_V3, CONTROL_WKC = 7, 8, 4, 5, 10, 11
RESENDS = 0x0f000001  # first packet id of a client that sends its wrapped key again when asked


def bare_reset(sid=None):
    """A reset without any wrapper: 14 bytes."""
    return bytes([CLIENT_V2 << 3]) + (sid or os.urandom(8)) + b"\0" + bytes(4)


def client_hello():
    """A whole ClientHello record, as a TLS library makes it."""
    out, context = ssl.MemoryBIO(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(ssl.MemoryBIO(), out)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


class Knock:
    """One client key, taken from a profile; a session id for each attempt."""

    def __init__(self, profile):
        key = ovpn_pki.unarmour(ovpn_client.block(profile, "tls-crypt-v2"))
        self.kc, self.wkc = key[:256], key[256:]
        self.begin()

    def begin(self):
        self.sid, self.packet_id, self.when = os.urandom(8), RESENDS, int(time.time())
        return self

    def wrap(self, op, tail, key_id=0):
        """tls-crypt: what the client sends under keys[1]."""
        head = bytes([op << 3 | key_id]) + self.sid + struct.pack(">II", self.packet_id, self.when)
        self.packet_id += 1
        tag = hmac.new(self.kc[192:224], head + tail, hashlib.sha256).digest()
        return head + tag + ovpn_pki.ctr(self.kc[128:160], tag[:16], tail)

    def reset(self):
        """353 bytes; 299 of them the wrapped key."""
        return self.wrap(CLIENT_V3, b"\0" + bytes(4)) + self.wkc

    def open(self, packet):
        """The tail of a packet from the server; None when it is not for us."""
        if len(packet) < 50:
            return None
        tag = packet[17:49]
        tail = ovpn_pki.ctr(self.kc[:32], tag[:16], packet[49:])
        good = hmac.new(self.kc[64:96], packet[:17] + tail, hashlib.sha256).digest()
        return tail if hmac.compare_digest(good, tag) else None

    def accept(self, packet):
        """Takes the server's answer to the reset: True when it is one."""
        tail = packet[:1] == bytes([SERVER_V2 << 3]) and self.open(packet)
        if not tail or tail[0] != 1 or tail[5:13] != self.sid:
            return False
        self.server_sid = packet[1:9]
        return True

    def echo(self, payload=b""):
        """The third packet: proves that the answer arrived, acknowledges it, carries TLS bytes."""
        tail = b"\1" + bytes(4) + self.server_sid + struct.pack(">I", 1) + payload
        return self.wrap(CONTROL_WKC, tail) + self.wkc

    def knock(self, sock, server, payload=b"", seconds=2.0):
        """Reset, answer, third packet, and no more: True when there was an answer."""
        sock.settimeout(seconds)
        sock.sendto(self.begin().reset(), server)
        try:
            while not self.accept(sock.recv(2048)):
                pass
        except TimeoutError:
            return False
        sock.sendto(self.echo(payload), server)
        return True
