"""The API's own description of itself (GET /v1/openapi.json): what its operations take, who may call
them, and whether an answer is one of those that they promise."""
import functools
import ipaddress
import json
import re

import jsonschema

PROBLEM = "application/problem+json"
# Refused before it came to an operation; the document describes them once, as "default".
FRAMING = (405, 412, 414, 417, 431, 501, 505)
# On every answer, whatever it is.
STANDING = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                               "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_formats = jsonschema.FormatChecker(formats=())
_formats.checks("date-time")(lambda v: not isinstance(v, str) or TIME.fullmatch(v) is not None)
_formats.checks("email")(lambda v: not isinstance(v, str) or "@" in v)
for _family, _kind in (("ipv4", ipaddress.IPv4Address), ("ipv6", ipaddress.IPv6Address)):
    _formats.checks(_family, raises=ValueError)(lambda v, kind=_kind: not isinstance(v, str) or bool(kind(v)))


class Operation:
    def __init__(self, contract, method, path, spec):
        self.contract, self.method, self.path, self.spec = contract, method, path, spec
        self.id = spec["operationId"]
        self.access = [who for who in spec["x-ireko-access"] if who not in ("public", "local")]
        self.public = "public" in spec["x-ireko-access"]
        self.local = "local" in spec["x-ireko-access"]  # from this machine without credentials
        self.events = spec.get("x-ireko-events")        # the answer is a stream of these
        parameters = spec.get("parameters", [])
        self.takes_id = "{id}" in path
        self.query = {p["name"]: p["schema"] for p in parameters if p["in"] == "query"}
        self.headers = {p["name"] for p in parameters if p["in"] == "header"}
        if self.takes_id:
            self.kind = next(p["schema"]["pattern"][1:4] for p in parameters if p["in"] == "path")
        self.body = self.example = None
        if "application/json" in spec.get("requestBody", {}).get("content", ()):
            media = spec["requestBody"]["content"]["application/json"]
            self.body, self.example = contract.follow(media["schema"]), media["example"]
        self.success = min(int(s) for s in spec["responses"] if s.isdigit() and int(s) < 300)
        self.kept = "Cache-Control" in spec["responses"][str(self.success)].get("headers", ())  # it may be, by browsers

    def __repr__(self):
        return f"{self.method} {self.path}"

    def url(self, id=None):
        return re.sub(r"\{\w+\}", id or "", self.path)

    def answer_spec(self, status):
        answers = self.spec["responses"]
        if str(status) in answers:
            return self.contract.follow(answers[str(status)])
        assert status in FRAMING, f"{self}: {status} is not in the document"
        return self.contract.follow(answers["default"])

    def check(self, answer):
        """The answer's status, type, headers and body are what the document says. Returns the answer."""
        spec = self.answer_spec(answer.status)
        assert {name: answer.headers[name] for name in STANDING} == STANDING and answer.headers["Permissions-Policy"]
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert (answer.headers["Cache-Control"] != "no-store") == (self.kept and answer.status < 400)
        for name, header in spec.get("headers", {}).items():
            assert answer.headers[name] or not header["required"], f"{self}: {answer.status} without {name}"
        kind = answer.headers["Content-Type"] or ""
        media = spec.get("content", {})
        if not media:
            assert not answer.body and not kind, f"{self}: a body nobody promised: {answer}"
            return answer
        assert kind in media or "*/*" in media, f"{self}: {answer.status} is {kind}, not {list(media)}"
        if kind.endswith("json"):
            self.contract.check(media[kind]["schema"], answer.json, f"{self}: {answer.status}")
            if kind == PROBLEM:
                assert answer.json["status"] == answer.status
        return answer


class Contract:
    def __init__(self, document):
        self.document = document
        self.resolver = jsonschema.RefResolver.from_schema(document)
        self.operations = [Operation(self, method.upper(), path, spec)
                           for path, item in document["paths"].items() for method, spec in item.items()]
        self.by_id = {o.id: o for o in self.operations}

    def follow(self, spec):
        while "$ref" in spec:
            at = self.document
            for step in spec["$ref"].removeprefix("#/").split("/"):
                at = at[step]
            spec = at
        return spec

    def check(self, schema, value, what):
        """The value is as the schema says, and has nothing that the schema does not name."""
        errors = [f"{'.'.join(map(str, e.absolute_path))}: {e.message}"
                  for e in self.validator(json.dumps(schema, sort_keys=True)).iter_errors(value)]
        assert not errors, f"{what}: " + "\n".join(errors)

    @functools.lru_cache(maxsize=None)
    def validator(self, schema):
        return jsonschema.Draft202012Validator(json.loads(schema), resolver=self.resolver, format_checker=_formats)


def of(gateway):
    """The contract of a running gateway."""
    return Contract(gateway.anonymous.get("/v1/openapi.json"))
