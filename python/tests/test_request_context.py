"""What a request knows of the calls that are made on its behalf."""

from __future__ import annotations

from penstock.serve.context import RequestContext


class Call:
    """Notes whether it was cancelled."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel_with_request(self) -> None:
        """As a response does."""
        self.cancelled = True


def test_calls_that_somebody_holds_are_cancelled_and_others_are_forgotten() -> None:
    context = RequestContext()
    held = [Call() for _ in range(100)]
    for call in held:
        context.add_child(call)
        for _ in range(100):
            context.add_child(Call())  # nobody waits for it: gone at once
    assert len(context._children) <= 4 * len(held)
    context.cancel_children()
    assert all(call.cancelled for call in held)
