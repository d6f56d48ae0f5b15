"""A WireGuard initiator in a few lines, for what a stock client does not do: many identities in a
second, datagrams that are wrong in one chosen place, and asking whether anybody answers at all."""
import base64
import hashlib
import hmac
import os
import re
import socket
import struct
import time

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ZERO_NONCE = b"\0" * 12


def hash_(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def kdf(n, key, data):
    prk, out, t = hmac.new(key, data, hashlib.blake2s).digest(), [], b""
    for i in range(1, n + 1):
        t = hmac.new(prk, t + bytes([i]), hashlib.blake2s).digest()
        out.append(t)
    return out


def public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def seal(key, plain, ad):
    return ChaCha20Poly1305(key).encrypt(ZERO_NONCE, plain, ad)


def new_key():
    """(private key text, public key text), as `wg genkey` and `wg pubkey` print them."""
    private = X25519PrivateKey.generate()
    raw = private.private_bytes_raw() if hasattr(private, "private_bytes_raw") else _raw(private)
    return base64.b64encode(raw).decode(), base64.b64encode(public(private)).decode()


def _raw(private):
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat
    return private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


class Initiator:
    """One identity, taken from a profile."""

    def __init__(self, profile, private_key=None):
        def value(name, default=None):
            m = re.search(rf"^\s*{name}\s*=\s*(\S+)", profile, re.M)
            return m.group(1) if m else default
        key = lambda text: base64.b64decode(text)
        self.private = X25519PrivateKey.from_private_bytes(key(private_key or value("PrivateKey")))
        self.server = key(value("PublicKey"))
        self.psk = key(value("PresharedKey")) if value("PresharedKey") else b"\0" * 32
        host, port = value("Endpoint").rsplit(":", 1)
        self.endpoint = (host.strip("[]"), int(port))
        self.family = socket.AF_INET6 if ":" in self.endpoint[0] else socket.AF_INET

    def dh(self, private, other):
        return private.exchange(X25519PublicKey.from_public_bytes(other))

    def initiation(self, when=None):
        """148 bytes; the state for open_response is kept."""
        when = time.time() if when is None else when
        stamp = struct.pack(">QI", 0x400000000000000A + int(when), int(when % 1 * 1e9))
        c = hash_(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
        h = hash_(hash_(c, b"WireGuard v1 zx2c4 Jason@zx2c4.com"), self.server)
        e = X25519PrivateKey.generate()
        c, = kdf(1, c, public(e))
        h = hash_(h, public(e))
        c, k = kdf(2, c, self.dh(e, self.server))
        static = seal(k, public(self.private), h)
        h = hash_(h, static)
        c, k = kdf(2, c, self.dh(self.private, self.server))
        sealed = seal(k, stamp, h)
        h = hash_(h, sealed)
        index = os.urandom(4)
        m = b"\x01\0\0\0" + index + public(e) + static + sealed
        self.state = (c, h, e, index)
        return self.finish(m)

    def finish(self, m):
        """Puts a right mac1 (and an empty mac2) behind 116 bytes."""
        return m + mac(hash_(b"mac1----", self.server), m) + b"\0" * 16

    def open_response(self, m):
        """True when this is the server's own answer to the last initiation; keys are then ready."""
        c, h, e, index = self.state
        if len(m) != 92 or m[:4] != b"\x02\0\0\0" or m[8:12] != index:
            return False
        other = m[12:44]
        c, = kdf(1, c, other)
        h = hash_(h, other)
        c, = kdf(1, c, self.dh(e, other))
        c, = kdf(1, c, self.dh(self.private, other))
        c, tau, k = kdf(3, c, self.psk)
        h = hash_(h, tau)
        ChaCha20Poly1305(k).decrypt(ZERO_NONCE, m[44:60], h)
        self.send_key, self.receive_key = kdf(2, c, b"")
        self.remote, self.counter = m[4:8], 0
        return True

    def data(self, plain=b""):
        """Seals an inner packet (or a keepalive)."""
        nonce = struct.pack("<Q", self.counter)
        self.counter += 1
        plain += b"\0" * (-len(plain) % 16)
        return b"\x04\0\0\0" + self.remote + nonce + ChaCha20Poly1305(self.send_key).encrypt(b"\0" * 4 + nonce, plain, None)

    def handshake(self, ns, tries=3, wait=1.0, sock=None):
        """Asks the server; True when it answered. Sends the confirmation as well."""
        own = sock is None
        s = sock or ns.socket(self.family)
        try:
            s.settimeout(wait)
            for _ in range(tries):
                s.sendto(self.initiation(), self.endpoint)
                deadline = time.monotonic() + wait
                while time.monotonic() < deadline:
                    try:
                        m, _ = s.recvfrom(2048)
                    except socket.timeout:
                        break
                    if self.open_response(m):
                        s.sendto(self.data(), self.endpoint)
                        return True
            return False
        finally:
            if own:
                s.close()
