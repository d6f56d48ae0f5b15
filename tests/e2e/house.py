"""People of every role and what belongs to them, for tests that call every operation. `House.request_for`
makes a request that the operation answers with its success for that caller."""
import base64
import hashlib
import hmac
import itertools
import os
import re
import struct
import time

import noise
from poll import until

ROLES = ("user", "auditor", "operator", "admin")
PASSWORD = "gallop over the hedge"
_names = itertools.count()


def fresh(prefix="n"):
    return f"{prefix}-{os.getpid()}-{next(_names)}"


def code(secret, ahead=0):
    """RFC 6238, as an app shows it; ahead: so many steps of 30 s from now."""
    mac = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30 + ahead), hashlib.sha1)
    return f"{(struct.unpack('>I', mac[mac[-1] & 15:][:4])[0] & 0x7fffffff) % 10**6:06}"


class Person:
    """role; user: the object; token, login: callers."""

    def __init__(self, house, role):
        g = house.gateway
        self.role, self.name = role, fresh(role)
        self.user = g.api.post("/v1/users", {"name": self.name, "role": role, "password": PASSWORD})
        self.login = g.anonymous.login(self.name, PASSWORD)
        # An auditor changes nothing, so he makes no tokens: his is a lowered one of the admin's.
        self.maker = g.api if role == "auditor" else self.login
        self.token = self.caller(self.made_token())
        if role != "auditor":
            self.maker = self.token

    def made_token(self, **more):
        return self.maker.post("/v1/tokens", {"name": fresh("token"), "role": self.role, **more})

    def caller(self, made):
        return self.login.bearer(made["token"])

    def caller_for(self, operation):
        """By token, but for what ends logins other than the caller's own."""
        return self.login if operation.id == "logout" or operation.id.startswith("totp_") else self.token


class House:
    def __init__(self, gateway):
        self.gateway, self.api = gateway, gateway.api
        self.people = {role: Person(self, role) for role in ROLES}
        self.stranger = Person(self, "user")
        self.plain = self.api.post("/v1/users", {"name": fresh("plain"), "password": PASSWORD})
        self.ns = gateway.net.client()

    def ns_connect(self):
        """A connection of one's own to the API."""
        return self.gateway.ns.connect("127.0.0.1", self.gateway.http_port, 10.0)

    def device(self, owner):
        return self.api.post("/v1/devices", {"user_id": owner.user["id"], "name": fresh("device")})

    def credential(self, device, protocol="wireguard", **more):
        return self.api.post(f"/v1/devices/{device['id']}/credentials", {"protocol": protocol, **more})

    def invite(self, owner):
        return self.api.post(f"/v1/devices/{self.device(owner)['id']}/invites", {"protocol": "wireguard"})

    def session(self, owner):
        """Of a device that has just connected. The list is a second old at most."""
        device = self.device(owner)
        assert noise.Initiator(self.credential(device)["profile"]).handshake(self.ns, tries=5)
        return until(lambda: self.gateway.session_of(device), 5, "a live session")

    def second_factor(self, owner, confirmed):
        """A new one: its secret."""
        self.api.delete(f"/v1/users/{owner.user['id']}/totp")
        secret = owner.login.post("/v1/me/totp", {"password": PASSWORD})["secret"]
        if confirmed:
            assert owner.login.request("POST", "/v1/me/totp/confirm", {"totp": code(secret)}).status == 204
        return secret

    def id_for(self, operation, owner):
        """The id of a fresh object of the operation's kind that is owner's."""
        if operation.id == "invite_list":
            return self.invite(owner)["device_id"]
        make = {"usr": lambda: self.user_for(operation, owner), "dev": lambda: self.device(owner),
                "crd": lambda: self.credential(self.device(owner)), "ses": lambda: self.session(owner),
                "tok": owner.made_token, "inv": lambda: self.invite(owner)}[operation.kind]
        return make()["id"]

    def user_for(self, operation, owner):
        """Oneself, or, to be deleted, somebody whom nobody will miss."""
        if operation.method != "DELETE":
            return owner.user
        return self.api.post("/v1/users", {"name": fresh("short-lived")})

    def body_for(self, operation, owner):
        """One that the operation takes from that owner: the document's example where it will do."""
        bodies = {
            "login": lambda: {"username": self.plain["name"], "password": PASSWORD},
            "totp_begin": lambda: self.api.delete(f"/v1/users/{owner.user['id']}/totp") or {"password": PASSWORD},
            "totp_confirm": lambda: {"totp": code(self.second_factor(owner, False))},
            "totp_disable": lambda: {"password": PASSWORD, "totp": code(self.second_factor(owner, True), 1)},
            "settings_patch": lambda: {"mtu": 1400},
            "user_create": lambda: {**operation.example, "name": fresh("made")},
            "user_patch": lambda: {"display_name": fresh("shown")},
            "device_create": lambda: {**operation.example, "name": fresh("made"), "user_id": owner.user["id"]},
            "device_patch": lambda: {"name": fresh("renamed")},
            "credential_issue": lambda: operation.example,
            "invite_create": lambda: {"protocol": "wireguard"},
            "token_create": lambda: {"name": fresh("made")},
        }
        return bodies[operation.id]() if operation.body else None

    def request_for(self, operation, owner):
        """(path, body)"""
        variable = self.id_for(operation, owner) if operation.takes_id else None
        if operation.id == "dashboard_asset":
            variable = re.search(rb'/assets/([\w.-]+)', self.gateway.anonymous.request("GET", "/").body)[1].decode()
        elif "{text}" in operation.path:
            variable = self.invite(owner)["url"].rsplit("/", 1)[1]
        return operation.url(variable), self.body_for(operation, owner)
