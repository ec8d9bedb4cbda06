"""kill -9 at every step of an operation on a node: a child process kills itself at the n-th point, for every n there is.

A point is: before every statement, before and after every commit, before and after every fsync, rename and removal of a file.
The hooks live in the child alone; a node of a user knows nothing of them.

    sweep(node, operation, observe)      runs `operation` once undisturbed, then once per point, each time on a copy of the
                                         node as it was; after each kill the node is opened anew and the operation repeated

`operation` must be harmless when repeated, as a person or a peer repeats it who saw no answer; `observe` returns what is
compared with the undisturbed run. Both are called inside the node, with its clock where it stood.
"""

import contextlib
import os
import shutil
import signal
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from django.db import connections

from support.nodes import Node

Operation = Callable[[], Any]


class _Points:
    """Counts points and kills this very process at one of them."""

    def __init__(self, fatal: int) -> None:
        self.fatal, self.passed = fatal, 0

    def __call__(self) -> None:
        self.passed += 1
        if self.passed == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self()
        return execute(sql, params, many, context)

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            self()
            done = work(*given, **named)
            self()
            return done

        return wrapped

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        connection = connections["default"]
        connection.ensure_connection()
        with contextlib.ExitStack() as stack:
            stack.enter_context(connection.execute_wrapper(self.statement))
            stack.enter_context(mock.patch.object(connection, "_commit", self.around(connection._commit)))
            for name in ("fsync", "replace", "unlink"):
                stack.enter_context(mock.patch.object(os, name, self.around(getattr(os, name))))
            yield


@contextlib.contextmanager
def _same_numbers() -> Iterator[None]:
    """Let what is drawn by lot be the same in every run."""
    drawn = iter(uuid.UUID(int=i, version=4) for i in range(1, 1000))
    with mock.patch("uuid.uuid4", side_effect=drawn):
        yield


def _killed_at(node: Node, operation: Operation, fatal: int) -> bool:
    """Run the operation in a child that dies at a point; says whether it died (there is such a point)."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # the runner of the tests has threads; the child uses none of theirs
        child = os.fork()
    if child == 0:
        try:
            points = _Points(fatal)
            with node, _same_numbers(), points.watching():
                operation()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(3)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the operation failed by itself"
    return False


def _compare(found: dict[str, Any], expected: dict[str, Any], when: str) -> None:
    other = {name: (found[name], expected[name]) for name in expected if found[name] != expected[name]}
    assert not other, f"{when}: {other}"


def sweep(node: Node, operation: Operation, observe: Callable[[], dict[str, Any]], *, step: int = 1) -> int:
    """Kill the operation at every `step`-th point; returns how many kills there were. The node is left as after a good run."""
    node.close()
    before, at = Path(str(node.folder) + ".before"), node.clock.at
    shutil.copytree(node.folder, before)

    def again() -> Any:
        node.clock.at = at
        with node, _same_numbers():
            operation()
            seen = observe()
        node.close()
        return seen

    def as_it_was() -> None:
        shutil.rmtree(node.folder)
        shutil.copytree(before, node.folder)
        node.clock.at = at

    expected = again()
    _compare(again(), expected, "the operation is not harmless when repeated")
    kills, fatal = 0, 1
    while True:
        as_it_was()
        if not _killed_at(node, operation, fatal):
            break
        kills += 1
        _compare(again(), expected, f"after kill -9 at point {fatal}")
        fatal += step
    as_it_was()
    again()
    return kills
