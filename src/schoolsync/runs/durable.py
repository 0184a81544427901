"""Workflows and steps whose answers DBOS keeps, in processes that ask for it; elsewhere they are simply carried out.

A server in memory keeps nothing that could be gone on with, and loading DBOS takes longer than starting such a server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class _Kept(Generic[P, R]):
    """A function that is called as it stands until `keep_answers` was called, and through DBOS afterwards."""

    def __init__(self, does: Callable[P, R], *, whole: bool) -> None:
        self._does = does
        self._whole = whole
        self.kept: Callable[P, R] = does

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> R:
        return self.kept(*arguments, **named)

    def keep(self) -> None:
        from dbos import DBOS  # loaded by those alone who keep answers

        self.kept = DBOS.workflow(name=self._does.__name__)(self._does) if self._whole else DBOS.step()(self._does)


_known: list[_Kept[..., object]] = []


def step(does: Callable[P, R]) -> _Kept[P, R]:
    """A function whose answer is kept; it may be carried out twice all the same."""
    return _noted(_Kept(does, whole=False))


def workflow(does: Callable[P, R]) -> _Kept[P, R]:
    """A function made of steps; what it decides depends on their answers alone."""
    return _noted(_Kept(does, whole=True))


def _noted(made: _Kept[P, R]) -> _Kept[P, R]:
    _known.append(made)  # type: ignore[arg-type]  # of any arguments and answer
    return made


def keep_answers() -> None:
    """From now on, in this process, DBOS keeps what steps answer. Called once, before DBOS is launched."""
    for made in _known:
        made.keep()
