"""Rooms that pass every message on: as fast as it goes, or after a nap of random length."""

from __future__ import annotations

import random

import gevent

from tina4_wsgi import Router

router = Router()

LONGEST_NAP_S = 0.005


@router.websocket("/ws/rooms/{room}")
def room(connection, event, data):
    if event == "message":
        connection.broadcast(data)


@router.websocket("/ws/sleepy/{room}")
def sleepy_room(connection, event, data):
    gevent.sleep(random.uniform(0, LONGEST_NAP_S))
    if event == "message":
        connection.broadcast(data)


@router.websocket("/ws/guests/{room}")
def guests(connection, event, data):
    name = connection.query["name"]
    if event == "open":
        connection.broadcast(f"{name} joined")
    if event == "close":
        connection.broadcast(f"{name} left")
