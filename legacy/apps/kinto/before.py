"""Kinto, as the app.wsgi of its documentation has it."""

import configparser
import os

from kinto import main

config = configparser.ConfigParser()
config.read(os.environ["KINTO_INI"])

application = main(config.items("DEFAULT"), **dict(config.items("app:main")))
