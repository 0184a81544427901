"""What an operation of our own API is: its path, parameters and shapes, and the act it takes; `routes` lists all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, cast

from schoolsync.access.roles import Act
from schoolsync.api.call import Answer, Call

Handler = Callable[[Call], Answer | Awaitable[Answer]]

ROOT = "schoolsync/v1"
TEXT_MAX = 256
"""Longest value of a query parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter. Several values are given as `a,b`."""

    name: str
    meaning: str
    kind: Literal["text", "integer", "boolean"] = "text"
    values: tuple[str, ...] = ()  # those it may have; empty: any
    several: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation."""

    method: str
    template: str  # below /schoolsync/v1; {name} is a key
    handler: str  # module.function in api.resources
    summary: str  # one sentence
    answers: Any = None  # a type; None: nothing is sent
    act: Act | None  # None: whoever has an accepted token
    parameters: tuple[Parameter, ...] = ()
    takes: Any = None  # the type of the body; dict: any object, which the service checks
    status: int = 200
    refusals: tuple[int, ...] = ()  # statuses beside those that every operation may answer
    public: bool = False  # needs no token
    media: str = "application/json"  # of the answer

    def resolve(self) -> Handler:
        """The handler itself."""
        module, _, name = self.handler.partition(".")
        return cast(Handler, getattr(import_module(f"schoolsync.api.resources.{module}"), name))
