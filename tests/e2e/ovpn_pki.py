"""Certificates and wrapped keys of our own: for the stock server, and for clients that must not get in."""
import base64
import datetime
import hashlib
import hmac
import os
import sqlite3
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def new_key(kind="P-256"):
    return {"P-256": lambda: ec.generate_private_key(ec.SECP256R1()), "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "Ed25519": ed25519.Ed25519PrivateKey.generate,
            "RSA-2048": lambda: rsa.generate_private_key(65537, 2048)}[kind]()


def digest_of(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def request(key, cn="a client's own key"):
    """A certificate request, PEM."""
    csr = x509.CertificateSigningRequestBuilder().subject_name(name(cn)).sign(key, digest_of(key))
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def load(text):
    return x509.load_pem_x509_certificate(text.strip().encode())


def key_usage(**on):
    every = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{k: on.get(k, False) for k in every})


class Authority:
    """Signs what it is told to. Without arguments a CA of its own; otherwise with a key that was found."""

    def __init__(self, cert=None, key=None):
        self.key = key or new_key()
        self.cert = cert or self._self_signed()

    def _self_signed(self):
        extensions = [(x509.BasicConstraints(True, None), True), (key_usage(key_cert_sign=True, crl_sign=True), True)]
        return self._sign(name("another CA"), name("another CA"), self.key.public_key(), extensions)

    def _sign(self, subject, issuer, public, extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        b = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
             .serial_number(x509.random_serial_number() >> 32)
             .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=30)))
        for extension, critical in extensions:
            b = b.add_extension(extension, critical)
        return b.sign(self.key, digest_of(self.key))

    def issue(self, cn, usage=CLIENT, signs=True, subject=None):
        """(certificate, key), PEM. usage None: no extended key usage; signs False: a key usage without
        digitalSignature. subject: a whole certificate's subject instead of cn."""
        key = new_key()
        extensions = [(x509.BasicConstraints(False, None), True),
                      (key_usage(digital_signature=signs, key_agreement=True), True)]
        if usage:
            extensions.append((x509.ExtendedKeyUsage([usage]), False))
        cert = self._sign(subject or name(cn), self.cert.subject, key.public_key(), extensions)
        return cert.public_bytes(serialization.Encoding.PEM).decode(), pem(key)

    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM).decode()


# ---- what a gateway keeps sealed: for what only somebody with its master key could make ----

def unsealed(data_dir, key, label):
    """A blob of the database's meta table, opened with the master key."""
    with sqlite3.connect(f"file:{data_dir}/ireko.db?mode=ro", uri=True) as db:
        blob, = db.execute("SELECT bin FROM meta WHERE key = ?", (key,)).fetchone()
    master = (data_dir / "master.key").read_bytes()
    return AESGCM(master).decrypt(blob[1:13], blob[13:], blob[:1] + label.encode())


def der_length(der):
    """Bytes of the first DER object."""
    n = der[1] & 0x7f
    return 2 + der[1] if der[1] < 0x80 else 2 + n + int.from_bytes(der[2:2 + n], "big")


def gateway_authority(data_dir):
    """The gateway's own CA, with its key."""
    plain = unsealed(data_dir, "ovpn_ca", "ovpn-ca")
    n = der_length(plain)
    key = serialization.load_der_private_key(plain[:n], None)
    return Authority(x509.load_der_x509_certificate(plain[n:]), key)


def gateway_server_key(data_dir):
    """The gateway's tls-crypt-v2 server key."""
    return unsealed(data_dir, "ovpn_v2_key", "ovpn-v2-server-key")


# ---- tls-crypt-v2 (reference A4) ----

def ctr(key, iv, data):
    c = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return c.update(data) + c.finalize()


def armour(label, raw):
    text = base64.b64encode(raw).decode()
    lines = "\n".join(text[i:i + 64] for i in range(0, len(text), 64))
    return f"-----BEGIN OpenVPN tls-crypt-v2 {label} key-----\n{lines}\n-----END OpenVPN tls-crypt-v2 {label} key-----\n"


def unarmour(text):
    return base64.b64decode("".join(line for line in text.split() if "-" not in line and line not in
                                    ("OpenVPN", "tls-crypt-v2", "client", "server", "key")))


def server_key():
    return os.urandom(128)


def client_key(server, metadata=None):
    """A client key wrapped under a server key: PEM."""
    kc = os.urandom(256)
    metadata = b"\1" + struct.pack(">Q", 1700000000) if metadata is None else metadata
    length = struct.pack(">H", 32 + len(kc) + len(metadata) + 2)
    tag = hmac.new(server[64:96], length + kc + metadata, hashlib.sha256).digest()
    return armour("client", kc + tag + ctr(server[:32], tag[:16], kc + metadata) + length)


def static_key():
    """A static key file as tls-crypt takes it."""
    text = os.urandom(256).hex()
    lines = "\n".join(text[i:i + 32] for i in range(0, len(text), 32))
    return f"-----BEGIN OpenVPN Static key V1-----\n{lines}\n-----END OpenVPN Static key V1-----\n"
