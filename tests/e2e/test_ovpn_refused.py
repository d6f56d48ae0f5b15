"""Who must not get in over OpenVPN: each is refused, the control plane's log says why, and nothing of it is ever
forwarded. The same profile before it was changed gets in."""
import re

import pytest

import capture
import kinds
import ovpn_client
import ovpn_pki
import topology
from poll import until


@pytest.fixture(scope="module")
def house(module_gateway):
    """A gateway, what its master key opens, and a device b whose tunnel is up."""
    g = module_gateway()
    g.ca = ovpn_pki.gateway_authority(g.data_dir)
    g.v2 = ovpn_pki.gateway_server_key(g.data_dir)
    _, g.device_b, g.issued_b = g.provision("b", protocol="openvpn")
    g.b = g.client(g.issued_b, transport="udp")
    return g


def changed(issued, **blocks):
    """The credential with other blocks in its profile."""
    profile = issued["profile"]
    for name, text in blocks.items():
        profile = ovpn_client.with_block(profile, name.replace("_", "-"), text)
    return {**issued, "profile": profile}


def with_certificate(issued, pair):
    return changed(issued, cert=pair[0], key=pair[1])


def subject(issued):
    return ovpn_pki.load(ovpn_client.block(issued["profile"], "cert")).subject


# Each: (gateway, credential) -> the credential as a stranger presents it.
def certificate_of_another_ca(g, issued):
    return with_certificate(issued, ovpn_pki.Authority().issue("stranger"))


def certificate_of_another_ca_of_the_same_name(g, issued):
    fake = ovpn_pki.Authority(key=ovpn_pki.new_key())
    fake.cert = fake._sign(g.ca.cert.subject, g.ca.cert.subject, fake.key.public_key(),
                           [(ovpn_pki.x509.BasicConstraints(True, None), True)])
    return with_certificate(issued, fake.issue("x", subject=subject(issued)))


def certificate_signed_by_a_device(g, issued):
    """Whoever has a device certificate is no authority."""
    cert = ovpn_pki.load(ovpn_client.block(issued["profile"], "cert"))
    key = ovpn_pki.serialization.load_pem_private_key(ovpn_client.block(issued["profile"], "key").encode(), None)
    leaf, leaf_key = ovpn_pki.Authority(cert, key).issue("x", subject=subject(issued))
    return with_certificate(issued, (leaf + ovpn_client.block(issued["profile"], "cert"), leaf_key))


def certificate_without_extended_key_usage(g, issued):
    return with_certificate(issued, g.ca.issue("x", usage=None, subject=subject(issued)))


def certificate_for_servers(g, issued):
    return with_certificate(issued, g.ca.issue("x", usage=ovpn_pki.SERVER, subject=subject(issued)))


def certificate_without_signing(g, issued):
    return with_certificate(issued, g.ca.issue("x", signs=False, subject=subject(issued)))


def certificate_that_was_never_issued(g, issued):
    """Right in everything, with the name of a device's; but the database does not know it."""
    return with_certificate(issued, g.ca.issue("x", subject=subject(issued)))


def certificate_of_another_device(g, issued):
    """A's certificate with B's tls-crypt-v2 key."""
    name = f"other-{issued['device_id'][-6:].lower()}"
    other = g.credential(g.device(g.user(name), name), "openvpn")
    return changed(issued, cert=ovpn_client.block(other["profile"], "cert"), key=ovpn_client.block(other["profile"], "key"))


def revoked(g, issued):
    g.api.delete(f"/v1/credentials/{issued['id']}")
    return issued


def disabled(g, issued):
    g.api.patch(f"/v1/devices/{issued['device_id']}", {"enabled": False})
    return issued


def tls_crypt_key_of_another_server(g, issued):
    return changed(issued, tls_crypt_v2=ovpn_pki.client_key(ovpn_pki.server_key()))


def tls_crypt_key_with_a_bit_flipped(g, issued):
    raw = bytearray(ovpn_pki.unarmour(ovpn_client.block(issued["profile"], "tls-crypt-v2")))
    raw[300] ^= 1
    return changed(issued, tls_crypt_v2=ovpn_pki.armour("client", bytes(raw)))


def tls_crypt_key_of_another_client(g, issued):
    """Kc of somebody else than what is wrapped behind it."""
    raw = ovpn_pki.unarmour(ovpn_client.block(issued["profile"], "tls-crypt-v2"))
    return changed(issued, tls_crypt_v2=ovpn_pki.armour("client", ovpn_pki.os.urandom(256) + raw[256:]))


def static_tls_crypt(g, issued):
    """A kind that this gateway is not set up for."""
    profile = ovpn_client.with_block(issued["profile"], "tls-crypt-v2", None)
    return {**issued, "profile": profile + f"<tls-crypt>\n{ovpn_pki.static_key()}</tls-crypt>\n"}


def no_wrapper_at_all(g, issued):
    return changed(issued, tls_crypt_v2=None)


# What the control plane's log says about each. To a packet whose wrapper is wrong nobody answers; one without a
# wrapper that is served here is not even shown to the control plane.
SILENT = {
    tls_crypt_key_of_another_server: "bad_client_key",
    tls_crypt_key_with_a_bit_flipped: "bad_client_key",
    tls_crypt_key_of_another_client: "bad_wrap",
    static_tls_crypt: "",
    no_wrapper_at_all: "",
}
SAID = {
    certificate_of_another_ca: "unknown authority",
    certificate_of_another_ca_of_the_same_name: "signature",
    certificate_signed_by_a_device: "unknown authority|not for clients|refused",
    certificate_without_extended_key_usage: "not for clients",
    certificate_for_servers: "not for clients",
    certificate_without_signing: "not for clients",
    certificate_that_was_never_issued: "not known|unknown|not issued",
    certificate_of_another_device: "another|does not belong|mismatch|not the",
    revoked: "revoked|may not|not known|unknown",
    disabled: "disabled|may not|not known|unknown",
}
KINDS = [*[(how, kinds.UDP) for how in [*SILENT, *SAID]], *[(how, kinds.TCP) for how in (
    certificate_of_another_ca, certificate_that_was_never_issued, certificate_of_another_device, revoked,
    tls_crypt_key_of_another_server)]]


@pytest.mark.parametrize("how,kind", KINDS, ids=lambda v: str(v) if isinstance(v, kinds.Kind) else v.__name__)
def test_refused(house, figure, how, kind):
    g = house
    name = f"{how.__name__}-{kind}".replace("_", "-")
    _, device, issued = g.provision(name, protocol="openvpn")
    good = g.client(issued, transport=kind.transport)
    good.remove()
    until(lambda: g.session_of(device) is None, 5, "the good one has gone")
    # Its last figures are at most a second old.
    figures = []
    until(lambda: figures.append(counted(g, device)) or figures[-2:] == [figures[-1]] * 2, 10, "counters stand", every=1.2)
    bad = how(g, issued)
    before, mark = counted(g, device), len(g.controlplane.text())
    # Whatever comes out of the tunnel device now is b's, which keeps still.
    tun = g.own(capture.Capture(g.ns, "ireko0", "not icmp6"))
    stranger = g.stock(bad, transport=kind.transport, options=["--hand-window", "4", "--connect-retry-max", "1"]).start()
    reason = stranger.wait_refused()
    figure("the client was told", repr(reason))
    knock_anyway(g, stranger)
    says = SILENT.get(how, SAID.get(how))
    log = until(lambda: re.search(f"(?i)session: .*({says}).*", g.controlplane.text()[mark:]) if says else True, 3,
                f"the log says why: {says}\n{g.controlplane.text()[mark:]}")
    if says:
        figure("the log says", log.group(0))
    if how in SILENT:
        assert reason is None and stranger.attempts() == 0, "nobody answers"
    assert g.session_of(device) is None
    stranger.remove()
    tun.stop()
    assert not tun.tshark(), "nothing of it came out of the tunnel"
    assert counted(g, device) == before


def counted(g, device):
    """Inner bytes of the device, both ways."""
    status = g.api.get(f"/v1/devices/{device['id']}")["status"]
    return status["rx_bytes"], status["tx_bytes"]


def knock_anyway(g, stranger):
    """Data packets under every key id and the other's peer-id: no key for them exists."""
    before = g.drops()
    with stranger.ns.socket() as s:
        for key_id in range(8):
            for peer_id in (0, 1, g.b.peer_id()):
                packet = bytes([9 << 3 | key_id]) + peer_id.to_bytes(3, "big") + b"\0\0\0\1" + bytes(16 + 84)
                s.sendto(packet, (topology.SERVER4, 1194))
    until(lambda: sum(g.drops().values()) - sum(before.values()) >= 24, 5, "all were dropped")


def test_server_of_another_ca(house):
    """The other way round: the profile's CA is not this server's, so the client goes away."""
    g = house
    _, device, issued = g.provision("wrong-ca", protocol="openvpn")
    client = g.stock(changed(issued, ca=ovpn_pki.Authority().pem()), options=["--hand-window", "4"]).start()
    until(lambda: "VERIFY ERROR" in client.text(), 10, "the client refuses the server")
    assert not client.up() and g.session_of(device) is None
    client.remove()


def test_the_good_one_was_never_disturbed(house):
    g = house
    assert g.b.attempts() == 1 and g.b.ping(topology.INTERNET4, count=5)
    assert g.session_of(g.device_b)
