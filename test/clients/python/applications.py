"""What applications do with redis-py. Arguments: the port, the name of one of the functions below. Prints OK, or what is wrong."""

import sys
import threading
import uuid

import redis

PORT = int(sys.argv[1])
KEY = uuid.uuid4().hex


def connect(**options):
    return redis.Redis(host="127.0.0.1", port=PORT, decode_responses=True, **options)


def check(actual, wanted):
    if actual != wanted:
        raise AssertionError(f"{actual!r} instead of {wanted!r}")


def documents():
    """Profiles in hashes, tags in sets, a ranking, changed in transactions that are tried again."""
    client = connect()
    with client.pipeline() as pipe:
        for number in range(200):
            pipe.hset(f"{KEY}:user:{number}", mapping={"name": f"user {number}", "visits": number})
            pipe.sadd(f"{KEY}:tag:{number % 7}", number)
            pipe.zadd(f"{KEY}:ranking", {f"user {number}": number / 8})
        check(len(pipe.execute()), 600)
    check(client.hgetall(f"{KEY}:user:3"), {"name": "user 3", "visits": "3"})
    check(len(client.sinter(f"{KEY}:tag:1", f"{KEY}:tag:1")), 29)
    check(client.zrevrange(f"{KEY}:ranking", 0, 1, withscores=True), [("user 199", 24.875), ("user 198", 24.75)])
    check(len(list(client.scan_iter(f"{KEY}:user:*", count=20))), 200)

    def visit(number):
        own = connect()

        def count(pipe):
            visits = int(pipe.hget(f"{KEY}:user:{number}", "visits"))
            pipe.multi()
            pipe.hset(f"{KEY}:user:{number}", "visits", visits + 1)

        for _ in range(25):
            own.transaction(count, f"{KEY}:user:{number}")

    threads = [threading.Thread(target=visit, args=(5,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(client.hget(f"{KEY}:user:5", "visits"), str(5 + 8 * 25))


def chat():
    """A listener gets every message of its room once and in order, by a channel and by a pattern."""
    client = connect()
    listener = connect().pubsub()
    listener.subscribe(f"{KEY}:room")
    listener.psubscribe(f"{KEY}:*")
    for _ in range(2):
        listener.get_message(timeout=10)
    for number in range(1000):
        check(client.publish(f"{KEY}:room", number), 2)
    got = {"message": [], "pmessage": []}
    while len(got["message"]) + len(got["pmessage"]) < 2000:
        message = listener.get_message(timeout=10)
        got[message["type"]].append(int(message["data"]))
    check(got["message"], list(range(1000)))
    check(got["pmessage"], list(range(1000)))


def jobs():
    """Workers that wait for jobs, locks with time limits, a script that takes from two queues."""
    client = connect()
    done = []
    guard = threading.Lock()

    def work():
        own = connect()
        while True:
            _, job = own.blpop([f"{KEY}:urgent", f"{KEY}:normal"], timeout=30)
            if job == "end":
                return
            with guard:
                done.append(job)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for number in range(600):
        client.rpush(f"{KEY}:{'urgent' if number % 3 == 0 else 'normal'}", f"job {number}")
    for _ in workers:
        client.rpush(f"{KEY}:normal", "end")
    for worker in workers:
        worker.join()
    check(sorted(done), sorted(f"job {number}" for number in range(600)))

    inside = []

    def enter(number):
        with connect().lock(f"{KEY}:lock", timeout=10, blocking_timeout=30):
            inside.append(number)
            check(len(inside), 1)
            inside.remove(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    take = client.register_script(
        "local taken = {} for _, key in ipairs(KEYS) do taken[#taken + 1] = redis.call('LPOP', key) or false end return taken"
    )
    client.rpush(f"{KEY}:a", "1")
    check(take(keys=[f"{KEY}:a", f"{KEY}:b"]), ["1", None])


def streams():
    """Consumers of a group: each entry is delivered to one of them, and what one has left is claimed by another."""
    client = connect()
    key = f"{KEY}:stream"
    client.xgroup_create(key, "group", id="0", mkstream=True)
    for number in range(300):
        client.xadd(key, {"number": number})
    got = []
    while True:
        reply = client.xreadgroup("group", f"consumer {len(got) % 3}", {key: ">"}, count=10)
        if not reply:
            break
        for entry, fields in reply[0][1]:
            got.append(int(fields["number"]))
            if got[-1] % 10 != 0:
                client.xack(key, "group", entry)
    check(got, list(range(300)))
    check(client.xpending(key, "group")["pending"], 30)
    _, claimed = client.xautoclaim(key, "group", "other", min_idle_time=0, count=100)[:2]
    check([int(fields["number"]) for _, fields in claimed], list(range(0, 300, 10)))
    check(client.xack(key, "group", *[entry for entry, _ in claimed]), 30)


def fleet():
    """Vehicles that move, and who is near; events of the keyspace; visitors that are counted."""
    client = connect()
    key = f"{KEY}:fleet"
    listener = connect().pubsub()
    client.config_set("notify-keyspace-events", "KEA")
    listener.psubscribe(f"__keyspace@0__:{key}")
    listener.get_message(timeout=10)
    for number in range(100):
        client.geoadd(key, (13.3 + number / 1000, 52.5, f"vehicle {number}"))
    near = client.geosearch(key, longitude=13.3, latitude=52.5, radius=700, unit="m", sort="ASC", withdist=True)
    check([name for name, _ in near], [f"vehicle {number}" for number in range(11)])
    check(abs(client.geodist(key, "vehicle 0", "vehicle 99") - 6703.3) < 1, True)
    events = []
    while len(events) < 100:
        events.append(listener.get_message(timeout=10)["data"])
    check(set(events), {"zadd"})
    for number in range(5000):
        client.pfadd(f"{KEY}:visitors", f"visitor {number % 1000}")
    check(abs(client.pfcount(f"{KEY}:visitors") - 1000) < 30, True)


def access():
    """A user with a password who may do little; `authority` and the port of TLS are further arguments."""
    client = connect()
    client.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["news:*"], categories=["+@read"])
    client.set("news:1", "text")
    reader = connect(username="reader", password="secret")
    check(reader.get("news:1"), "text")
    for refused in (lambda: reader.set("news:1", "other"), lambda: reader.get("other")):
        try:
            refused()
        except redis.exceptions.NoPermissionError:
            continue
        raise AssertionError("the user may do more than was said")
    try:
        connect(username="reader", password="wrong").ping()
    except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError) as error:
        check("WRONGPASS" in str(error), True)
    else:
        raise AssertionError("a wrong password was taken")
    tls_port, ca, certificate, key = sys.argv[3:7]
    secure = redis.Redis(
        host="127.0.0.1",
        port=int(tls_port),
        username="reader",
        password="secret",
        ssl=True,
        ssl_ca_certs=ca,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        ssl_check_hostname=False,
        decode_responses=True,
    )
    check(secure.get("news:1"), "text")
    client.set("news:long", "x" * 3_000_000)
    check(len(secure.get("news:long")), 3_000_000)


globals()[sys.argv[2]]()
print("OK")
