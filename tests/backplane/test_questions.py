"""Questions to other processes: who is waited for, until when, and what an answer must not break."""

from __future__ import annotations

import logging

import gevent
import pytest

from tina4_wsgi.backplane.envelope import Kind, unpack
from tina4_wsgi.backplane.questions import Question, Questions, answer_of

ANNA, BERT = b"a" * 16, b"b" * 16
LONG_S = 30.0


def is_waiting(question: Question) -> bool:
    return not question._is_done.is_set()


def test_a_question_to_nobody_is_not_waited_for():
    assert Question([]).wait(LONG_S) == []


def test_all_who_are_asked_are_waited_for():
    question = Question([ANNA, BERT])
    question.take(ANNA, {"count": 1})
    assert is_waiting(question)

    question.take(BERT, {"count": 2})

    assert question.wait(LONG_S) == [{"count": 1}, {"count": 2}]


def test_one_who_is_gone_is_not_waited_for():
    question = Question([ANNA, BERT])
    question.take(ANNA, {"count": 1})
    question.give_up_on(BERT)

    assert question.wait(LONG_S) == [{"count": 1}]


def test_an_answer_of_somebody_who_was_not_asked_ends_nothing():
    question = Question([ANNA])

    question.take(BERT, {"count": 2})

    assert is_waiting(question)


def test_after_the_time_there_are_the_answers_that_came():
    question = Question([ANNA, BERT])
    question.take(ANNA, {"count": 1})

    assert question.wait(0.01) == [{"count": 1}]


def test_where_only_the_number_is_known_that_many_are_waited_for():
    question = Question(None)
    question.take(ANNA, {})
    assert is_waiting(question)

    question.expect(2)
    assert is_waiting(question)

    question.take(BERT, {})
    assert not is_waiting(question)


@pytest.mark.parametrize("count", [0, 1])
def test_a_number_that_is_learned_after_the_answers_ends_the_wait(count):
    question = Question(None)
    question.take(ANNA, {})

    question.expect(count)

    assert not is_waiting(question)


def test_a_second_answer_of_one_process_takes_the_place_of_the_first():
    question = Question([ANNA, BERT])

    question.take(ANNA, {"count": 1})
    question.take(ANNA, {"count": 2})

    assert question.wait(0.0) == [{"count": 2}]


def test_no_more_than_ten_thousand_answers_are_kept():
    question = Question(None)

    for number in range(10_002):
        question.take(number.to_bytes(16, "big"), {"number": number})

    assert [answer["number"] for answer in question.wait(0.0)] == [*range(10_000)]


def test_answers_that_come_while_somebody_waits_are_among_them():
    question = Question([ANNA])
    waiting = gevent.spawn(question.wait, LONG_S)
    gevent.sleep(0)

    question.take(ANNA, {"count": 1})

    assert waiting.get(timeout=5.0) == [{"count": 1}]


def test_answers_find_their_question_by_its_number():
    questions = Questions()
    first_number, first = questions.new([ANNA])
    second_number, second = questions.new([ANNA])

    questions.take(second_number, ANNA, {"to": "second"})

    assert (first_number, second_number) == (1, 2)
    assert (is_waiting(first), second.wait(LONG_S)) == (True, [{"to": "second"}])


def test_an_answer_to_a_question_that_is_closed_is_dropped():
    questions = Questions()
    number, question = questions.new([ANNA])
    questions.close(number)
    questions.close(number)

    questions.take(number, ANNA, {})

    assert is_waiting(question)


def test_a_process_that_is_gone_is_given_up_on_by_all_open_questions():
    questions = Questions()
    asked = [questions.new([ANNA])[1] for _ in range(2)]

    questions.give_up_on(ANNA)

    assert [is_waiting(question) for question in asked] == [False, False]


class Answering:
    def answer(self, question):
        return {"echo": question["word"]}


def test_an_answer_has_the_number_of_its_question_and_the_id_of_its_sender():
    answer = unpack(answer_of(Answering(), {"word": "hello"}, ANNA, 7))

    assert (answer.kind, answer.name, answer.number, answer.sender) == (Kind.ANSWER, "", 7, ANNA)
    assert answer.json() == {"echo": "hello"}


def test_a_question_that_makes_us_fail_is_answered_with_nothing_and_logged(caplog):
    with caplog.at_level(logging.WARNING, "tina4_wsgi.backplane"):
        answer = unpack(answer_of(Answering(), {}, ANNA, 7))
        gevent.sleep(0)

    assert (answer.kind, answer.number, answer.sender, answer.json()) == (Kind.ANSWER, 7, ANNA, {})
    assert caplog.messages == [
        "a question of another process is answered with nothing: KeyError: 'word'"
    ]
