"""Made from the OpenAPI document: every operation x whoever may call it and who may not, and every field of
every body x what can be wrong with it. What is refused has changed nothing: the database is compared."""
import itertools
import json
import sqlite3
import time

import pytest

import contract
from contract import PROBLEM
from house import PASSWORD, ROLES, House, fresh
from poll import until

JSON = {"Content-Type": "application/json"}
ABSENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
# What changes without anybody's asking: when something was used last, what devices do, who was refused.
ALIVE = {"device_state", "credential_state", "audit", "audit_head", "logins", "totp", "traffic", "traffic_series"}
ALIVE_COLUMNS = {"last_used_at"}


@pytest.fixture(scope="module")
def gateway(module_gateway):
    """Its own: failed logins here must not close the door for other tests, nor theirs for these."""
    return module_gateway()


@pytest.fixture(scope="module")
def described(gateway):
    return contract.of(gateway)


@pytest.fixture(scope="module")
def house(gateway):
    return House(gateway)


def export(gateway):
    """Everything that the database holds, but for what changes by itself: {table: rows}."""
    db = sqlite3.connect(f"file:{gateway.data_dir}/ireko.db?mode=ro", uri=True)
    try:
        out = {}
        for table, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall():
            if table in ALIVE:
                continue
            columns = [c[1] for c in db.execute(f"PRAGMA table_info({table})") if c[1] not in ALIVE_COLUMNS]
            out[table] = sorted(db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall(), key=repr)
        assert {"users", "devices", "credentials", "tokens", "leases"} <= set(out)
        return out
    finally:
        db.close()


class Unchanged:
    """Nothing is written inside of it."""

    def __init__(self, gateway):
        self.gateway = gateway

    def __enter__(self):
        self.before = export(self.gateway)

    def __exit__(self, kind, *_):
        if kind is None:
            after = export(self.gateway)
            changed = [t for t in self.before if self.before[t] != after[t]]
            assert not changed and set(after) == set(self.before), f"changed: {changed}"


def problem(answer, status, operation):
    """Refused with that status, and the body is a problem and nothing else."""
    operation.check(answer)
    assert answer.status == status, f"{operation}: {answer}, not {status}"
    assert answer.headers["Content-Type"] == PROBLEM and set(answer.json) <= {"type", "title", "status", "detail", "errors"}
    return answer


def private(described):
    return [o for o in described.operations if not o.public]


@pytest.fixture(scope="module")
def things(described, house):
    """(path, body) of each operation on a stranger's objects, which stay there all the time."""
    made = {}

    def at(o):
        if not o.takes_id:
            return o.url()
        if o.kind not in made:
            made[o.kind] = house.stranger.user["id"] if o.kind == "usr" else house.id_for(o, house.stranger)
        return o.url(made[o.kind])

    return {o.id: (at(o), house.body_for(o, house.stranger)) for o in described.operations}


# ---- who may call ----

def test_without_credentials_that_count(described, house, gateway, things, figure):
    """None, garbage, expired, revoked, logged out, of a disabled user: the same 401, of the same bytes, whatever is
    asked for; and objects that are not there get no other."""
    owner = house.people["admin"]
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    expired = owner.caller(owner.made_token(expires_at=soon))
    made = owner.made_token()
    revoked = owner.caller(made)
    gateway.api.delete(f"/v1/tokens/{made['id']}")
    out = gateway.anonymous.login(house.plain["name"], PASSWORD)
    assert out.request("POST", "/v1/logout").status == 204
    leaver = gateway.api.post("/v1/users", {"name": fresh("leaver"), "role": "admin", "password": PASSWORD})
    disabled = gateway.anonymous.login(leaver["name"], PASSWORD)
    gateway.api.patch(f"/v1/users/{leaver['id']}", {"disabled": True})
    callers = [gateway.anonymous, revoked, out, disabled] + [gateway.anonymous.as_({"Authorization": a}) for a in (
        "Bearer garbage", "Bearer ireko_" + "A" * 43, "Bearer " + "A" * 5000, "Basic YWRtaW46YWRtaW4=", "Bearer", "\x80")] + [
        gateway.anonymous.as_({"Cookie": c}) for c in ("ireko=" + "A" * 43, "ireko=", "ireko=a; ireko=b")]
    until(lambda: expired.request("GET", "/v1/me").status == 401, 5, "the token expires")
    callers.append(expired)
    bodies, n, began = set(), 0, time.monotonic()
    with Unchanged(gateway):
        for operation, caller in itertools.product(private(described), callers):
            if operation.local and not caller.auth:
                continue
            path, body = things[operation.id]
            for at in {path, operation.url(f"{operation.kind}_{ABSENT}") if operation.takes_id else path}:
                a = problem(caller.request(operation.method, at, body), 401, operation)
                bodies.add(a.body)
                n += 1
        for operation in private(described):
            if operation.method == "GET" and not operation.local:
                a = gateway.anonymous.request("HEAD", things[operation.id][0])
                assert a.status == 401 and not a.body and a.headers["WWW-Authenticate"], f"HEAD {operation}: {a}"
    assert len(bodies) == 1, bodies
    figure("refused requests", f"{n} in {time.monotonic() - began:.1f} s")


def test_roles(described, house, gateway, things):
    """A role that the operation names gets its success; another one 403, before the body is looked at."""
    assert {r for o in private(described) for r in o.access} == set(ROLES)
    for operation, role in itertools.product(private(described), ROLES):
        if operation.id == "logout" or operation.events and role in operation.access:
            continue
        person = house.people[role]
        if role in operation.access:
            path, body = house.request_for(operation, person)
            a = operation.check(person.caller_for(operation).request(operation.method, path, body))
            assert a.status == operation.success, f"{operation} by {role}: {a}"
            continue
        path, body = things[operation.id]
        with Unchanged(gateway):
            for sent in (None,) if operation.method in ("GET", "DELETE") else (body, b"{", None):
                problem(person.token.request(operation.method, path, sent, JSON), 403, operation)


def test_somebody_elses(described, house, gateway, things):
    """For whoever only has what is his own, another's object is not there, as one that never was."""
    own = house.people["user"].token
    with Unchanged(gateway):
        for operation in private(described):
            if not operation.takes_id or "user" not in operation.access:
                continue
            path, body = things[operation.id]
            foreign = problem(own.request(operation.method, path, body), 404, operation)
            absent = problem(own.request(operation.method, operation.url(f"{operation.kind}_{ABSENT}"), body), 404, operation)
            assert foreign.body == absent.body
            for wrong in ("x", f"zzz_{ABSENT}", f"{operation.kind}_{ABSENT.lower()}", f"{operation.kind}_{ABSENT}0", "%00", "..%2f"):
                a = own.request(operation.method, operation.url(wrong), body)
                assert a.status in (400, 404) and a.headers["Content-Type"] == PROBLEM, f"{operation} {wrong}: {a}"
        # A stranger's id in a body or a query.
        stranger, foreign_device = house.stranger.user["id"], things["device_get"][0].rsplit("/", 1)[1]
        for operation in private(described):
            if "user" not in operation.access:
                continue
            if operation.body and "user_id" in operation.body["properties"]:
                a = own.request(operation.method, operation.url(), {**house.body_for(operation, house.people["user"]), "user_id": stranger})
                assert a.status in (403, 404, 422), f"{operation}: {a}"
                assert a.json.get("errors", [{"field": "user_id"}])[0]["field"] == "user_id"
            if "user_id" in operation.query:
                a = own.request(operation.method, f"{operation.path}?user_id={stranger}")
                assert a.status in (403, 404) or a.json.get("items", a.json.get("series")) == [], f"{operation}: {a}"
            if "device_id" in operation.query:
                problem(own.request(operation.method, f"{operation.path}?device_id={foreign_device}"), 404, operation)


def test_lists_hold_only_ones_own(described, house):
    """No list, and nothing else that a user may read, names a stranger's object."""
    person, stranger = house.people["user"], house.stranger
    device = house.device(stranger)
    foreign = [stranger.user["id"], device["id"], house.credential(device)["id"], house.session(stranger)["id"],
               stranger.made_token()["id"], stranger.name]
    for operation in private(described):
        if operation.method == "GET" and "user" in operation.access and not operation.takes_id and not operation.events:
            a = operation.check(person.token.request("GET", operation.path))
            assert a.status == 200 and not [f for f in foreign if f.encode() in a.body], operation


def test_cookies(described, house, gateway, things):
    """A cookie alone reads. It writes only with the token of that very login, and never for another site."""
    for role in ROLES:
        login = house.people[role].login
        cookie = {"Cookie": login.auth["Cookie"]}
        other = house.people["user" if role != "user" else "admin"].login.auth["X-CSRF-Token"]
        with Unchanged(gateway):
            for operation in private(described):
                if role not in operation.access:
                    continue
                path, body = things[operation.id]
                if operation.method == "GET":
                    if not operation.takes_id and not operation.events:
                        assert operation.check(gateway.anonymous.as_(cookie).request("GET", path)).status == 200
                    continue
                for more in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}, {"X-CSRF-Token": other},
                             {**login.auth, "Origin": "https://elsewhere.example"}, {**login.auth, "Origin": "null"}):
                    problem(gateway.anonymous.as_({**cookie, **more}).request(operation.method, path, body), 403, operation)
    for operation in described.operations:
        if operation.public and operation.method != "GET":
            a = gateway.anonymous.request(operation.method, operation.url("x"), operation.example, {"Origin": "http://elsewhere.example"})
            problem(a, 403, operation)


def test_other_methods_and_paths(described, house):
    """What the document does not have is not there: 405 with what is, or 404."""
    admin = house.people["admin"].token
    for path in described.document["paths"]:
        there = [o for o in described.operations if o.path == path]
        allowed = {o.method for o in there} | ({"HEAD"} if any(o.method == "GET" for o in there) else set())
        at = there[0].url(f"{getattr(there[0], 'kind', 'usr')}_{ABSENT}")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            if method not in allowed:
                a = admin.request(method, at)
                assert a.status == 405 and a.json["status"] == 405, f"{method} {path}: {a}"
                assert {m.strip() for m in a.headers["Allow"].split(",")} == allowed
        if path != "/":
            for other in (at + "/", at.upper(), at + "/more") + (() if "{text}" in path else (at + "x",)):
                a = admin.request("GET", other)
                assert a.status in (404, 405) and a.headers["Content-Type"] == PROBLEM, f"{other}: {a}"


# ---- what is sent ----

WRONG = {"string": [7, 1.5, True, [], {}, ["x"], {"a": "b"}], "boolean": [0, 1, "true", "", [], {}],
         "integer": ["7", 1.5, True, [], {}], "array": ["x", 7, {}, True], "object": ["x", 7, [], True]}
CONTROL = ["a\nb", "a\rb", "a\tb", "\x1b[31m", "a\x7fb", "a\x85b", "a\u2028b"]
# Text that goes nowhere: it is compared with what there is, so any is fine and some is right.
COMPARED = {("login", "username"), ("login", "password"), ("login", "totp"), ("totp_begin", "password"),
            ("totp_disable", "password"), ("totp_disable", "totp")}
# What a field needs beside it.
BESIDE = {("credential_issue", "csr"): {"protocol": "openvpn"}, ("credential_issue", "public_key"): {"protocol": "wireguard"}}


def types_of(schema):
    return schema["type"] if isinstance(schema["type"], list) else [schema["type"]]


def is_wrong(value, types):
    if isinstance(value, bool):
        return "boolean" not in types
    return not (isinstance(value, float) and value == int(value) and "integer" in types)


def bad_values(operation, name, schema):
    """What the field must not take: (value, what that is)."""
    types = types_of(schema)
    for value in WRONG[types[0]]:
        if is_wrong(value, types):
            yield value, "another type"
    if "null" not in types:
        yield None, "null"
    if types[0] == "integer":
        yield from ((schema["minimum"] - 1, "too small"), (schema["maximum"] + 1, "too large"), (10**18, "far too large"))
    if types[0] != "string":
        return
    yield "x" * 10000, "10,000 characters"
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1), "one too long"
        yield "ü" * (schema["maxLength"] // 2 + 1), "as many characters, but more bytes"
    if schema.get("minLength"):
        yield "x" * (schema["minLength"] - 1), "too short"
    if (operation.id, name) not in COMPARED:
        yield from ((c, "control characters") for c in CONTROL)
    if "format" in schema or "enum" in schema:
        yield "garbage", f"no {schema.get('format', 'choice')}" if schema.get("format") != "password" else "too short"


def field_requests(described, house):
    """(operation, path, good body) of every operation that takes one, for an admin."""
    admin = house.people["admin"]
    for operation in described.operations:
        if operation.body:
            path, body = house.request_for(operation, admin)
            yield operation, path, body


def test_fields(described, house, gateway, figure):
    """Every field x what it must not hold: refused by name."""
    admin, n, began = house.people["admin"].token, 0, time.monotonic()
    for operation, path, body in field_requests(described, house):
        with Unchanged(gateway):
            for name, schema in operation.body["properties"].items():
                good = {**body, **BESIDE.get((operation.id, name), {})}
                for value, what in bad_values(operation, name, schema):
                    if operation.id == "login" and what == "garbage":
                        continue
                    a = problem(admin.request(operation.method, path, {**good, name: value}), 422, operation)
                    named = [e["field"] for e in a.json["errors"]]
                    assert named == [name], f"{operation}: {name} with {what} ({str(value)[:40]!r}): {a}"
                    n += 1
    figure("bad fields", f"{n} in {time.monotonic() - began:.1f} s")


def test_bodies(described, house, gateway):
    """Every body x what is wrong as a whole: unknown and read-only fields, missing ones, broken JSON, other types of
    content, too much."""
    admin = house.people["admin"].token
    answers = {p for o in described.operations for p in (o.body or {}).get("properties", ())} | {
        "id", "created_at", "updated_at", "revision", "token", "profile", "fingerprint", "user", "owner_id", "groups", "is_admin", "__proto__"}
    for operation, path, body in field_requests(described, house):
        with Unchanged(gateway):
            properties = operation.body["properties"]
            for name in sorted(answers - set(properties)) + ["x" * 10000, "a\nb", "", "ü"]:
                a = problem(admin.request(operation.method, path, {**body, name: "x"}), 422, operation)
                named = [e["field"] for e in a.json["errors"]]
                assert len(named) == 1 and (named[0] == name or name.startswith(named[0]) and len(named[0]) >= 60), f"{operation}: {name[:40]}: {a}"
            for name in operation.body.get("required", ()):
                a = problem(admin.request(operation.method, path, {k: v for k, v in body.items() if k != name}), 422, operation)
                assert [e["field"] for e in a.json["errors"]] == [name]
            text = json.dumps(body).encode()
            first = next(iter(properties))
            for sent in (text[:-1], b"[" + text + b"]", text + b"x", b'{"%s": "\xff\xfe"}' % first.encode(), b"\xef\xbb\xbf" + text,
                         b'{"%s": "\xc3"}' % first.encode(), b'{"%s": "\\ud800"}' % first.encode(), b'{"%s": "\\u0000"}' % first.encode(),
                         text[:-1] + b', "%s": 1, "%s": 1}' % (first.encode(), first.encode()), b"[" * 100 + b"]" * 100, b"null", b"7"):
                problem(admin.request(operation.method, path, sent, JSON), 400, operation)
            problem(admin.request(operation.method, path, text + b" " * 65536, JSON), 413, operation)
            for other in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/xml"):
                problem(admin.request(operation.method, path, text, {"Content-Type": other}), 415, operation)
    with Unchanged(gateway):
        for operation in described.operations:
            if not operation.body and operation.method != "GET" and operation.id != "logout":
                path = operation.url(f"{operation.kind}_{ABSENT}") if operation.takes_id else operation.url("x")
                assert admin.request(operation.method, path, {"a": 1}).status in (400, 404, 415), operation


def test_broken_text_in_every_field(described, house, gateway):
    """Broken UTF-8 and NUL in each text: no JSON, so no field can be named."""
    admin = house.people["admin"].token
    for operation, path, body in field_requests(described, house):
        with Unchanged(gateway):
            for name, schema in operation.body["properties"].items():
                if "string" not in types_of(schema):
                    continue
                for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\\u0000b", b"a\0b"):
                    text = json.dumps({**body, name: "MARK"}).encode().replace(b"MARK", bad)
                    problem(admin.request(operation.method, path, text, JSON), 400, operation)


# (operation, who, fields): above what that role may give, though the field is there.
PRIVILEGED = [
    ("user_create", "operator", {"role": "admin"}),
    ("user_patch", "user", {"role": "operator"}), ("user_patch", "user", {"role": "admin"}),
    ("user_patch", "user", {"name": "somebody"}), ("user_patch", "user", {"disabled": True}),
    ("user_patch", "operator", {"role": "admin"}),
]


def test_privileged_fields(described, house, gateway):
    """No field lifts anybody: not a role above one's own in any body, not what only managers may set."""
    above = {role: ROLES[i + 1:] for i, role in enumerate(ROLES)}
    cases = [(described.by_id[o], who, fields) for o, who, fields in PRIVILEGED]
    for operation in private(described):
        if operation.body and "role" in operation.body["properties"]:
            cases += [(operation, who, {"role": role}) for who in operation.access for role in above[who]]
    requests = {(o.id, who): house.request_for(o, house.people[who]) for o, who, _ in cases}
    with Unchanged(gateway):
        for operation, who, fields in cases:
            path, body = requests[operation.id, who]
            a = house.people[who].token.request(operation.method, path, {**body, **fields})
            operation.check(a)
            assert a.status in (403, 422) and a.json["status"] == a.status, f"{operation} {fields} by {who}: {a}"
    # And nobody changes whoever is above him.
    operator, target = house.people["operator"].token, house.people["admin"].user["id"]
    with Unchanged(gateway):
        for method, body in (("PATCH", {"password": "taken over now"}), ("PATCH", {"disabled": True}), ("DELETE", None)):
            assert operator.request(method, f"/v1/users/{target}", body).status == 403
