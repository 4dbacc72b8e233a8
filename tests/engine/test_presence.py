"""Who is said to be on a path, and who is sent away."""

from __future__ import annotations

import pytest

from tina4_wsgi import presence
from tina4_wsgi.errors import UsageError

from .conftest import House
from .test_slow_peers import quiet


class Account:
    """A login that JSON knows nothing of."""

    def __repr__(self) -> str:
        return "<Account ada>"


@pytest.mark.parametrize(
    ("auth", "shown"), [(Account(), "<Account ada>"), (("ada", 7), ["ada", 7]), ({"name": "ada"}, {"name": "ada"})]
)
def test_a_login_is_shown_as_json_shows_it_and_else_by_its_name(house: House, auth: object, shown: object) -> None:
    _, connection = house.connect(quiet)
    connection.auth = auth

    assert [member.auth for member in house.process.members("/ws/test")] == [shown]


def test_who_is_sent_away_by_such_a_login_is_found(house: House) -> None:
    client, connection = house.connect(quiet)
    other, _ = house.connect(quiet)
    connection.auth = Account()

    (answer,) = house.process.ask_all(presence.disconnect_question(None, None, Account(), 4003, "banned"))

    assert answer == {"closed": 1}
    assert client.read_close() == 4003
    other.send_close()
    assert other.read_close() == 1000


def test_sending_nobody_in_particular_away_is_an_error() -> None:
    with pytest.raises(UsageError, match="nobody is meant, expected connection_id, path or auth"):
        presence.disconnect_question(None, None, None, 1000, "")
