"""The app as an ASGI application: the framework behind the gate. Started by `launch`."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from cartcast.app.gate import Gate
from cartcast.app.launch import PROJECT_VARIABLE

app = st.App(
    Path(__file__).with_name("main.py"),
    middleware=[Middleware(Gate, folder=os.environ.get(PROJECT_VARIABLE, "."))],
)
