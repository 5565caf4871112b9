"""The app as an ASGI application: the framework behind the gate. Started by `launch`."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from cartcast.app.gate import Gate
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.atomic import process_umask

_project = os.environ.get(PROJECT_VARIABLE, ".")
# All that this process writes is the project's, the framework's spooled uploads included.
os.umask(process_umask(Path(_project)))

app = st.App(
    Path(__file__).with_name("main.py"),
    middleware=[Middleware(Gate, folder=_project)],
)
