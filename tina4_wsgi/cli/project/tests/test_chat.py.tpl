import unittest

from application import app
from tina4_wsgi.testing import TestClient


class ChatTest(unittest.TestCase):
    def setUp(self):
        self.client = TestClient(app)
        self.addCleanup(self.client.close)

    def test_what_is_said_reaches_the_room_and_nobody_else(self):
        with (
            self.client.websocket("/ws/room/red", query={"name": "Ada"}) as ada,
            self.client.websocket("/ws/room/red", query={"name": "Bob"}) as bob,
            self.client.websocket("/ws/room/blue", query={"name": "Eve"}) as eve,
        ):
            bob.send_json({"text": "hi"})

            self.assertEqual(ada.receive_json(), {"note": "Ada came"})
            self.assertEqual(ada.receive_json(), {"note": "Bob came"})
            self.assertEqual(ada.receive_json(), {"name": "Bob", "text": "hi"})
            self.assertEqual(eve.receive_json(), {"note": "Eve came"})
            eve.receive_nothing()

    def test_a_newcomer_gets_what_was_said_before(self):
        with self.client.websocket("/ws/room/green", query={"name": "Ada"}) as ada:
            ada.send_json({"text": "hi"})
            ada.receive_json()
            ada.receive_json()

        with self.client.websocket("/ws/room/green", query={"name": "Bob"}) as bob:
            self.assertEqual(bob.receive_json(), {"name": "Ada", "text": "hi"})
            self.assertEqual(bob.receive_json(), {"note": "Bob came"})

    def test_a_room_has_a_page(self):
        response = self.client.get("/room/red")

        self.assertEqual(response.status_code, 200)
        self.assertIn("<h1>red</h1>", response.text)


if __name__ == "__main__":
    unittest.main()
