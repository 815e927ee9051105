"""Tasks of Celery, for a worker and for those who call them. The environment says where the server is."""

import os

from celery import Celery

PORT = os.environ["DAMSELFLY_PORT"]
app = Celery("tasks", broker=f"redis://127.0.0.1:{PORT}/0", backend=f"redis://127.0.0.1:{PORT}/1")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"priority_steps": list(range(10)), "queue_order_strategy": "priority"},
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    result_expires=600,
)


@app.task
def add(left, right):
    return left + right


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=5)
def unsteady(self, attempts):
    if self.request.retries < attempts:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task
def broken():
    raise ValueError("broken")
