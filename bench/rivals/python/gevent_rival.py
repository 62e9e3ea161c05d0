#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSL-1.0
# gevent_rival: the workloads for gevent's greenlets. They take turns on one stack: a switch copies
# what the other needs of it away and back. Channel is gevent's unbuffered queue, Queue the one
# with a capacity; StopIteration as a value ends either, as documented. Tasks that end together are
# in a list for joinall. Nothing is monkey-patched: nothing here waits but in gevent.
import platform
import sys

import gevent
import gevent.core
import greenlet
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import Channel, Queue

import rival
from rival import clock


def nothing():
    pass


def switch(n):
    def party():
        for _ in range(n // 2):
            gevent.sleep(0)  # what gevent calls a yield
    began = clock()
    gevent.joinall([gevent.spawn(party), gevent.spawn(party)])
    return clock() - began


def yield_many(n, yields):
    def task():
        for _ in range(yields):
            gevent.sleep(0)
    began = clock()
    gevent.joinall([gevent.spawn(task) for _ in range(n)])
    return clock() - began


def chan_pingpong(n):
    there, back = Channel(), Channel()

    def echo():
        for value in there:
            back.put(value)

    def trip(count):
        total = 0
        for i in range(count):
            there.put(i)
            total += back.get()
        rival.check("chan_pingpong: sum", total, count * (count - 1) // 2)

    echoing = gevent.spawn(echo)
    trip(n // 10)
    began = clock()
    trip(n)
    seconds = clock() - began
    there.put(StopIteration)
    echoing.join()
    return seconds


def chan_buffered(ends, n):
    channel = Queue(128)
    each = n // ends

    def send():
        for value in range(each):
            channel.put(value)

    def receive():
        mine = 0
        for value in channel:
            mine += value
        return mine

    began = clock()
    receivers = [gevent.spawn(receive) for _ in range(ends)]
    gevent.joinall([gevent.spawn(send) for _ in range(ends)])
    for _ in receivers:
        channel.put(StopIteration)
    total = sum(receiver.get() for receiver in receivers)
    seconds = clock() - began
    rival.check("chan_buffered: sum", total, ends * each * (each - 1) // 2)
    return seconds


def select(over, n):
    """gevent has no select over channels: a Channel is nothing that gevent.wait takes. All senders
    share one instead, as one writes it with gevent, and as heddle's benchmark has it for threads.
    A greenlet for each value and gevent.wait over those would be several times slower."""
    shared = Channel()
    each = n // over

    def send():
        for value in range(each):
            shared.put(value)

    began = clock()
    senders = [gevent.spawn(send) for _ in range(over)]
    total = 0
    for _ in range(over * each):
        total += shared.get()
    gevent.joinall(senders)
    seconds = clock() - began
    rival.check("select: sum", total, over * each * (each - 1) // 2)
    return seconds


def spawn_join(n):
    began = clock()
    for _ in range(n):
        gevent.spawn(nothing).join()
    return clock() - began


def spawn_batch(n):
    began = clock()
    gevent.joinall([gevent.spawn(nothing) for _ in range(n)])
    return clock() - began


def grow(parent, first, leaves):
    """Sends to `parent` the sum of the leaves [first, first + leaves)."""
    if leaves == 1:
        parent.put(first)
        return
    children = Channel()
    each = leaves // 10
    for i in range(10):
        gevent.spawn(grow, children, first + i * each, each)
    total = 0
    for _ in range(10):
        total += children.get()
    parent.put(total)


def skynet(n):
    began = clock()
    result = Channel()
    gevent.spawn(grow, result, 0, n)
    total = result.get()
    seconds = clock() - began
    rival.check("skynet: sum", total, n * (n - 1) // 2)
    return seconds


def mutex(tasks, times):
    lock = BoundedSemaphore()  # gevent's plain mutex; its RLock counts and costs more
    counter = 0  # guarded by lock

    def increment():
        nonlocal counter
        for _ in range(times):
            with lock:
                counter += 1

    began = clock()
    gevent.joinall([gevent.spawn(increment) for _ in range(tasks)])
    seconds = clock() - began
    rival.check("mutex: counter", counter, tasks * times)
    return seconds


def mutex_yield(tasks, times):
    lock = BoundedSemaphore()
    counter = 0  # guarded by lock

    def increment():
        nonlocal counter
        for _ in range(times):
            with lock:
                counter += 1
                gevent.sleep(0)

    began = clock()
    gevent.joinall([gevent.spawn(increment) for _ in range(tasks)])
    seconds = clock() - began
    rival.check("mutex_yield: counter", counter, tasks * times)
    return seconds


def sleepers(n):
    cpu_before = rival.cpu_seconds()
    began = clock()
    gevent.joinall([gevent.spawn(gevent.sleep, 1) for _ in range(n)])
    return {"seconds": clock() - began, "cpu": rival.cpu_seconds() - cpu_before}


def parked_memory(n):
    arrived = 0
    event = Event()

    def park():
        nonlocal arrived
        arrived += 1
        event.wait()

    began = clock()
    before = rival.memory_now()
    tasks = [gevent.spawn(park) for _ in range(n)]
    while arrived != n:
        gevent.sleep(0)
    figures = rival.memory_figures(before, rival.memory_now(), n)
    event.set()
    gevent.joinall(tasks)
    return {"seconds": clock() - began, **figures}


def fib_of(n):
    if n < 2:
        return n
    task = gevent.spawn(fib_of, n - 1)
    other = fib_of(n - 2)
    return task.get() + other


def fib(n):
    began = clock()
    result = fib_of(n)
    seconds = clock() - began
    rival.check("fib", result, rival.fibonacci(n))
    return seconds


def idle(n):
    event = Event()
    tasks = [gevent.spawn(event.wait) for _ in range(n)]
    gevent.sleep(0.1)  # all wait from here on
    cpu_before = rival.cpu_seconds()
    began = clock()
    gevent.sleep(1)
    seconds = clock() - began
    cpu = rival.cpu_seconds() - cpu_before
    event.set()
    gevent.joinall(tasks)
    return {"seconds": seconds, "cpu_ms": cpu * 1e3 / seconds}


def sieve(n):
    """The chain is taken down by killing its greenlets, where heddle closes the channels."""
    def generate(out):
        i = 2
        while True:
            out.put(i)
            i += 1

    def keep_others(prime, numbers, out):
        for value in numbers:
            if value % prime != 0:
                out.put(value)

    began = clock()
    last_link = Channel()
    tasks = [gevent.spawn(generate, last_link)]
    prime = last_link.get()
    for _ in range(n - 1):
        following = Channel()
        tasks.append(gevent.spawn(keep_others, prime, last_link, following))
        last_link = following
        prime = last_link.get()
    seconds = clock() - began
    gevent.killall(tasks)
    rival.check("sieve: prime", prime, rival.nth_prime(n))
    return seconds


def all_runs(body, runs):
    while runs.wanted():
        runs.add(body())


if __name__ == "__main__":
    sys.exit(rival.main(
        "gevent", f"gevent {gevent.__version__} with greenlet {greenlet.__version__} and "
                  f"{gevent.core.get_version()} on {platform.python_implementation()} "
                  f"{platform.python_version()}",
        all_runs,
        [switch, yield_many, chan_pingpong, chan_buffered, select, spawn_join, spawn_batch, skynet,
         mutex, mutex_yield, sleepers, parked_memory, fib, idle, sieve]))
