"""The OpenAPI document: served as it should be, without a fault that a public linter knows, and true."""
import copy
import json
import re
import subprocess

import pytest

import contract
import topology
from daemons import ROOT
from house import PASSWORD, House

LINTER = ROOT / "build/openapi"


@pytest.fixture(scope="module")
def described(api_server):
    return contract.of(api_server)


@pytest.fixture(scope="module")
def house(api_server):
    return House(api_server)


def lint(documents):
    """{name: [(rule, where)]} of {name: document}."""
    topology.run("make", "-s", "-C", ROOT, "openapi-linter", timeout=300)
    folder = topology.temporary() / "openapi"
    folder.mkdir(exist_ok=True)
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    r = subprocess.run(["node_modules/.bin/spectral", "lint", "--quiet", "--fail-severity=hint", "-f", "json",
                        "-r", "spectral.yaml", *(f"{folder}/{name}.json" for name in documents)],
                       cwd=LINTER, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert r.returncode in (0, 1), r.stderr
    found = {name: [] for name in documents}
    for one in json.loads(r.stdout):
        found[one["source"].split("/")[-1].removesuffix(".json")].append((one["code"], ".".join(map(str, one["path"]))))
    assert (r.returncode == 1) == any(found.values())
    return found


def test_a_public_linter_finds_nothing(described):
    """And it would: what is wrong in one place is found there."""
    paths = "paths./v1/"
    wrong = copy.deepcopy(described.document)
    at = wrong["paths"]
    at["/v1/me"]["get"]["responses"]["401"] = {"$ref": "#/components/none"}
    at["/v1/users"]["post"]["requestBody"]["content"]["application/json"]["example"]["role"] = "god"
    at["/v1/users"]["get"]["summary"] = 7
    at["/v1/users/{id}"]["get"]["parameters"].pop(0)
    at["/v1/logout"]["post"]["operationId"] = "status"
    found = lint({"right": described.document, "wrong": wrong})
    assert found["right"] == []
    for rule, where in (("invalid-ref", f"{paths}me.get.responses.401"),
                        ("oas3-valid-media-example", f"{paths}users.post.requestBody"),
                        ("oas3-schema", f"{paths}users.get"),
                        ("path-params", f"{paths}users/{{id}}.get"),
                        ("operation-operationId-unique", f"{paths}status.get")):
        assert any(code == rule and place.startswith(where) for code, place in found["wrong"]), (rule, found["wrong"])


def test_how_it_is_served(api_server):
    a = api_server.anonymous.request("GET", "/v1/openapi.json")
    assert a.status == 200 and a.headers["Content-Type"] == "application/json" and a.json["openapi"] == "3.1.0"
    head = api_server.anonymous.request("HEAD", "/v1/openapi.json")
    assert head.status == 200 and not head.body
    for name in ("Content-Type", "Content-Length", "ETag"):
        assert head.headers[name] == a.headers[name]
    same = api_server.anonymous.request("GET", "/v1/openapi.json", headers={"If-None-Match": a.headers["ETag"]})
    assert same.status == 304 and not same.body and same.headers["ETag"] == a.headers["ETag"]
    other = api_server.anonymous.request("GET", "/v1/openapi.json", headers={"If-None-Match": '"0"'})
    assert other.status == 200 and other.body == a.body


def secrets_of(answer):
    """What an answer hands out, and no other may."""
    if answer.headers["Content-Type"] != "application/json":
        return set()
    a = answer.json
    found = {a[name] for name in ("token", "csrf_token", "secret") if name in a} | {a["url"].rsplit("/", 1)[1] for _ in "x" if "url" in a}
    return found | set(re.findall(r"^(?:PrivateKey|PresharedKey) = (\S+)", a.get("profile", ""), re.M))


def follow(operation, house, caller):
    """A stream: its events, until a device's has come."""
    s = house.ns_connect()
    head = "".join(f"{k}: {v}\r\n" for k, v in caller.auth.items())
    with s, s.makefile("rb") as lines:
        s.sendall(f"GET {operation.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
        assert lines.readline().split()[1] == b"200"
        seen, name = set(), None
        while "device.changed" not in seen:
            line = lines.readline()
            assert line, f"{operation}: ended after {seen}"
            if line.startswith(b"event: "):
                name = line.split()[1].decode()
            elif line.startswith(b"data: "):
                operation.contract.check(operation.events[name], json.loads(line[6:]), f"{operation}: {name}")
                seen.add(name)
                if name == "hello":
                    house.device(house.people["user"])


def test_every_operation_answers_as_it_says(described, house):
    """Each called for real, by every role that may, on objects that are there; lists have items."""
    house.session(house.people["user"])
    called, secrets = set(), set()
    for operation in sorted(described.operations, key=lambda o: o.id == "logout"):
        roles = ["user"] if operation.public else operation.access
        for role in roles:
            person = house.people[role]
            path, body = house.request_for(operation, person)
            caller = house.gateway.anonymous if operation.public else person.caller_for(operation)
            if operation.events:
                follow(operation, house, caller)
            else:
                a = operation.check(caller.request(operation.method, path, body))
                assert a.status == operation.success, f"{operation} by {role}: {a}"
                secrets |= secrets_of(a)
            called.add(operation.id)
            if operation.id.endswith("_list") and role != "user":
                assert a.json["items"], f"{operation} by {role}: nothing to look at"
    assert called == set(described.by_id)
    # What was handed out once is nowhere else: not in what an admin may read, not in the log.
    assert len(secrets) >= 6, secrets
    admin = house.people["admin"]
    bodies = [house.api.request("GET", house.request_for(o, admin)[0]).body
              for o in described.operations if o.method == "GET" and not o.events]
    bodies += [house.gateway.controlplane.log.read_bytes(), house.gateway.dataplane.log.read_bytes()]
    for secret in secrets | {PASSWORD}:
        assert not [b[:80] for b in bodies if secret.encode() in b], "a secret shows up again"


def test_ids_and_times_of_a_page_continue(described, house):
    """A cursor and every query parameter of the lists are taken as the document says."""
    for operation in described.operations:
        if "cursor" not in operation.query:
            continue
        path, _ = house.request_for(operation, house.people["user"])
        first = operation.check(house.api.request("GET", f"{path}?limit=1")).json
        assert len(first["items"]) <= 1
        if first["next_cursor"]:
            second = operation.check(house.api.request("GET", f"{path}?limit=1&cursor={first['next_cursor']}"))
            assert second.status == 200 and second.json["items"] != first["items"]
        for name in operation.query:
            a = operation.check(house.api.request("GET", f"{path}?{name}=%ff"))
            assert a.status == 422 and [e["field"] for e in a.json["errors"]] == [name], a
