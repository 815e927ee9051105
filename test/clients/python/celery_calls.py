"""Calls tasks of a Celery worker in all the ways that have something to do with the server. Prints OK, or what is wrong."""

from celery import chain, chord, group

from tasks import add, broken, total, unsteady

TIMEOUT_S = 60


def check(actual, wanted):
    if actual != wanted:
        raise AssertionError(f"{actual!r} instead of {wanted!r}")


calls = [add.delay(number, number) for number in range(200)]
check([call.get(timeout=TIMEOUT_S) for call in calls], [2 * number for number in range(200)])
prioritized = [add.apply_async((number, 1), priority=number % 10) for number in range(100)]
check([call.get(timeout=TIMEOUT_S) for call in prioritized], [number + 1 for number in range(100)])
check(group(add.s(number, 1) for number in range(30))().get(timeout=TIMEOUT_S), list(range(1, 31)))
check(chord((add.s(number, 0) for number in range(30)), total.s())().get(timeout=TIMEOUT_S), sum(range(30)))
check(chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=TIMEOUT_S), 10)
check(unsteady.delay(3).get(timeout=TIMEOUT_S), 3)
check(add.apply_async((5, 6), countdown=0.5).get(timeout=TIMEOUT_S), 11)
failed = broken.delay()
check(repr(failed.get(timeout=TIMEOUT_S, propagate=False)), "ValueError('broken')")
print("OK")
