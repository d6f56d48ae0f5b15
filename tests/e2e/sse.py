"""A client of the event stream: a thread that reads, and a list of what came."""
import json
import socket
import threading
import time

from poll import until


class Event:
    def __init__(self, id, name, data, at):
        self.id, self.name, self.data, self.at = id, name, data, at

    def __repr__(self):
        return f"<{self.id} {self.name} {self.data}>"


class Stream:
    """Begins with the request; wait for .status. buffer: bytes of the socket's receive buffer."""

    def __init__(self, api, query="", last_id=None, buffer=None, read=True):
        headers = dict(api.auth)
        if last_id is not None:
            headers["Last-Event-ID"] = str(last_id)
        self.events, self.comments, self.retry, self.over, self.error = [], 0, None, None, None
        self.connection = api.dial(30)
        self.connection.connect()
        self.sock = self.connection.sock  # http.client lets go of it when the answer says "close"
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.connection.request("GET", "/v1/events" + query, headers=headers)
        self.answer = self.connection.getresponse()
        self.status, self.headers = self.answer.status, self.answer.headers
        if self.status != 200:
            self.body = self.answer.read()
            self.connection.close()
        elif read:
            self.read()

    def read(self):
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _run(self):
        fields = {}
        try:
            while line := self.answer.readline():
                text = line.decode().rstrip("\n")
                if text.startswith(":"):
                    self.comments += 1
                elif text:
                    name, value = text.split(": ", 1)
                    fields[name] = value
                elif fields:
                    if "retry" in fields:
                        self.retry = int(fields["retry"])
                    self.events.append(Event(int(fields["id"]), fields["event"], json.loads(fields["data"]),
                                             time.monotonic()))
                    fields = {}
        except Exception as error:  # cut off
            self.error = error
        self.over = time.monotonic()

    def of(self, name):
        return [e for e in list(self.events) if e.name == name]

    def wait(self, name, seconds=3, match=lambda e: True):
        return until(lambda: next((e for e in self.of(name) if match(e)), None), seconds, f"event {name}")

    def wait_over(self, seconds=3):
        until(lambda: self.over, seconds, "the stream ends")
        return self.over

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.connection.close()

    remove = close
