"""REST client whose sockets live in a namespace. Plain http.client: it must not be clever."""
import copy
import http.client
import json
import select
import socket
import threading


class Connection(http.client.HTTPConnection):
    """tls: the ssl.SSLContext of an HTTPS server, or None. address: where a host that is a name is."""

    def __init__(self, ns, host, port, timeout, tls=None, address=None):
        super().__init__(host, port, timeout=timeout)
        self.ns, self.tls, self.address = ns, tls, address or host
        if tls:
            self.default_port = http.client.HTTPS_PORT

    def connect(self):
        self.sock = self.ns.connect(self.address, self.port, self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            self.sock = self.tls.wrap_socket(self.sock, server_hostname=self.host)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


class Rest:
    """One caller. Connections are kept, one a thread. auth: headers that say who is asking."""

    def __init__(self, ns, port, host="127.0.0.1", auth=None, timeout=20.0, tls=None, address=None):
        self.ns, self.host, self.port, self.timeout, self.tls = ns, host, port, timeout, tls
        self.address, self.auth = address, auth or {}
        self.local = threading.local()

    def as_(self, auth):
        other = copy.copy(self)
        other.auth, other.local = auth or {}, threading.local()
        return other

    def dial(self, timeout=None):
        """A connection of its own, not connected yet."""
        return Connection(self.ns, self.host, self.port, timeout or self.timeout, self.tls, self.address)

    def bearer(self, token):
        return self.as_({"Authorization": f"Bearer {token}"})

    def request(self, method, path, body=None, headers=None):
        """body: None, bytes as they are, or anything else as JSON. Raises on a broken connection."""
        h = {**self.auth, **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            h.setdefault("Content-Type", "application/json")
        connection = self._connection()
        try:
            connection.request(method, path, body, h)
            r = connection.getresponse()
            data = r.read()
        except BaseException:
            self.close()
            raise
        if r.will_close:
            connection.close()
            self.local.connection = None
        return Answer(r.status, r.headers, data)

    def _connection(self):
        """The kept one, unless the server has closed it meanwhile."""
        connection = getattr(self.local, "connection", None)
        if connection and connection.sock and select.select([connection.sock], [], [], 0)[0]:
            self.close()
            connection = None
        if connection is None:
            connection = self.local.connection = self.dial()
        return connection

    def close(self):
        connection = getattr(self.local, "connection", None)
        if connection:
            connection.close()
            self.local.connection = None

    def _expect(self, statuses, method, path, body=None, headers=None):
        a = self.request(method, path, body, headers)
        assert a.status in statuses, f"{method} {path}: {a.status} {a.body[:500]!r}"
        return a.json if a.body else None

    def get(self, path, **kw):
        return self._expect((200,), "GET", path, **kw)

    def post(self, path, body, **kw):
        return self._expect((200, 201), "POST", path, body, **kw)

    def patch(self, path, body, **kw):
        return self._expect((200,), "PATCH", path, body, **kw)

    def delete(self, path, **kw):
        return self._expect((204,), "DELETE", path, **kw)

    def all(self, path, limit=500):
        """Every item of a list, page by page."""
        items, cursor = [], None
        while True:
            sep = "&" if "?" in path else "?"
            page = self.get(f"{path}{sep}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
            items += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return items

    def login(self, username, password):
        """Returns a caller that uses the cookie and the CSRF token of that login."""
        a = self.as_({}).request("POST", "/v1/login", {"username": username, "password": password})
        assert a.status == 200, f"login {username}: {a}"
        cookie = a.headers["Set-Cookie"].split(";")[0]
        return self.as_({"Cookie": cookie, "X-CSRF-Token": a.json["csrf_token"]})
