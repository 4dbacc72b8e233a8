"""The project's own tests, as `manage.py test` finds them: WebSocket routes inside of a
TestCase.
"""

import json

from django.contrib.auth.models import User
from django.db import connection
from django.test import TestCase
from project.wsgi import application

from notes.models import Note
from tests.support.own_server import dial, running
from tests.support.raw import RawClient
from tina4_wsgi.testing import HandshakeRefused, TestClient


def hear(client: RawClient):
    return json.loads(client.read_text())


class RouteTest(TestCase):
    def setUp(self):
        self.server = self.enter(running(application))
        self.cookies = []

    def enter(self, context):
        """As `enterContext`, which Python 3.10 lacks."""
        entered = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return entered

    def connect(self, path: str) -> RawClient:
        client = self.enter(dial(self.server))
        client.upgrade(path, self.cookies)
        return client

    def log_in(self, name: str) -> User:
        user = User.objects.create_user(name)
        self.client.force_login(user)
        self.cookies = [("Cookie", f"sessionid={self.client.cookies['sessionid'].value}")]
        return user

    def test_a_callback_sees_what_the_test_has_not_committed(self):
        Note.objects.create(text="one")

        assert hear(self.connect("/ws/notes")) == {"notes": 1}

    def test_the_test_sees_what_a_callback_writes_and_it_is_rolled_back(self):
        assert Note.objects.count() == 0
        client = self.connect("/ws/probe/a")
        hear(client)
        client.send_close()
        client.read_close()
        client.read_to_end()

        assert [note.text for note in Note.objects.all()] == ["closed a"]

    def test_again_nothing_is_there(self):
        self.test_the_test_sees_what_a_callback_writes_and_it_is_rolled_back()

    def test_a_user_of_the_test_client_is_logged_in_there_too(self):
        self.log_in("ada")

        assert hear(self.connect("/ws/private"))["user"] == "ada"

    def test_deactivation_closes(self):
        user = self.log_in("ada")
        client = self.connect("/ws/private")
        hear(client)
        user.is_active = False
        user.save()

        assert client.read_close() == 4401

    def test_an_error_leaves_the_transaction_of_the_test_alone(self):
        Note.objects.create(text="one")
        client = self.connect("/ws/probe/a")
        hear(client)
        client.send_text("fail in transaction")
        client.send_text("count")

        assert hear(client) == {"notes": 1}
        assert connection.in_atomic_block


class ClientTest(TestCase):
    """The same with a client in memory, which in a patched run has callbacks wait for their turn in
    the test.
    """

    def setUp(self):
        self.sockets = TestClient(application, in_test_greenlet=True)
        self.addCleanup(self.sockets.close)

    def connect(self, path: str):
        return self.sockets.websocket(path, base_url="http://testserver")

    def test_routes_see_the_transaction_and_the_login_of_the_test(self):
        Note.objects.create(text="one")
        self.client.force_login(User.objects.create_user("ada"))
        self.sockets.set_cookie(
            "sessionid", self.client.cookies["sessionid"].value, domain="testserver"
        )

        with self.connect("/ws/private") as client:
            assert client.receive_json()["user"] == "ada"
        with self.connect("/ws/probe/a") as client:
            client.receive_json()
            client.send("count")
            assert client.receive_json() == {"notes": 1}
        assert [note.text for note in Note.objects.all()] == ["one", "closed a"]

    def test_who_is_not_logged_in_is_refused(self):
        with self.assertRaises(HandshakeRefused) as refused:  # noqa: PT027  # as Django projects write it
            self.connect("/ws/private")
        assert refused.exception.status == 401
