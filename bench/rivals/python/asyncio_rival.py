#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSL-1.0
# asyncio_rival: the workloads for asyncio's tasks, on the event loop that Python comes with.
# asyncio has no unbuffered channel: a Queue of maxsize 1 stands in, the nearest there is; its
# sender goes on as soon as the value lies there. Nor can a Queue be closed before Python 3.13:
# None as a value ends it. Tasks that end together are in a TaskGroup, as documented for them.
import asyncio
import platform
import sys

import rival
from rival import clock


async def nothing():
    pass


async def switch(n):
    async def party():
        for _ in range(n // 2):
            await asyncio.sleep(0)  # what asyncio calls a yield
    began = clock()
    async with asyncio.TaskGroup() as both:
        both.create_task(party())
        both.create_task(party())
    return clock() - began


async def yield_many(n, yields):
    async def task():
        for _ in range(yields):
            await asyncio.sleep(0)
    began = clock()
    async with asyncio.TaskGroup() as ended:
        for _ in range(n):
            ended.create_task(task())
    return clock() - began


async def chan_pingpong(n):
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def echo():
        while (value := await there.get()) is not None:
            await back.put(value)

    async def trip(count):
        total = 0
        for i in range(count):
            await there.put(i)
            total += await back.get()
        rival.check("chan_pingpong: sum", total, count * (count - 1) // 2)

    echoing = asyncio.create_task(echo())
    await trip(n // 10)
    began = clock()
    await trip(n)
    seconds = clock() - began
    await there.put(None)
    await echoing
    return seconds


async def chan_buffered(ends, n):
    channel = asyncio.Queue(128)
    each = n // ends

    async def send():
        for value in range(each):
            await channel.put(value)

    async def receive():
        mine = 0
        while (value := await channel.get()) is not None:
            mine += value
        return mine

    began = clock()
    receivers = [asyncio.create_task(receive()) for _ in range(ends)]
    async with asyncio.TaskGroup() as senders:
        for _ in range(ends):
            senders.create_task(send())
    for _ in receivers:
        await channel.put(None)
    total = sum([await receiver for receiver in receivers])
    seconds = clock() - began
    rival.check("chan_buffered: sum", total, ends * each * (each - 1) // 2)
    return seconds


async def select(over, n):
    """asyncio selects among tasks: for each queue one that gets its next value, and another when
    that has ended."""
    each = n // over
    queues = [asyncio.Queue(1) for _ in range(over)]

    async def send(queue):
        for value in range(each):
            await queue.put(value)

    began = clock()
    async with asyncio.TaskGroup() as senders:
        for queue in queues:
            senders.create_task(send(queue))
        getting = {asyncio.create_task(queue.get()): queue for queue in queues}
        total, left = 0, over * each
        while left > 0:
            done, _ = await asyncio.wait(getting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                queue = getting.pop(task)
                total += task.result()
                left -= 1
                getting[asyncio.create_task(queue.get())] = queue
    seconds = clock() - began
    for task in getting:
        task.cancel()
    await asyncio.wait(getting)
    rival.check("select: sum", total, over * each * (each - 1) // 2)
    return seconds


async def spawn_join(n):
    began = clock()
    for _ in range(n):
        await asyncio.create_task(nothing())
    return clock() - began


async def spawn_batch(n):
    began = clock()
    async with asyncio.TaskGroup() as ended:
        for _ in range(n):
            ended.create_task(nothing())
    return clock() - began


async def grow(parent, first, leaves):
    """Sends to `parent` the sum of the leaves [first, first + leaves)."""
    if leaves == 1:
        await parent.put(first)
        return
    children = asyncio.Queue(1)
    each = leaves // 10
    # The loop refers weakly to a task, as documented: somebody must keep it.
    tasks = [asyncio.create_task(grow(children, first + i * each, each)) for i in range(10)]
    total = 0
    for _ in tasks:
        total += await children.get()
    await parent.put(total)


async def skynet(n):
    began = clock()
    result = asyncio.Queue(1)
    root = asyncio.create_task(grow(result, 0, n))
    total = await result.get()
    seconds = clock() - began
    await root
    rival.check("skynet: sum", total, n * (n - 1) // 2)
    return seconds


async def mutex(tasks, times):
    lock = asyncio.Lock()
    counter = 0  # guarded by lock

    async def increment():
        nonlocal counter
        for _ in range(times):
            async with lock:
                counter += 1

    began = clock()
    async with asyncio.TaskGroup() as ended:
        for _ in range(tasks):
            ended.create_task(increment())
    seconds = clock() - began
    rival.check("mutex: counter", counter, tasks * times)
    return seconds


async def mutex_yield(tasks, times):
    lock = asyncio.Lock()
    counter = 0  # guarded by lock

    async def increment():
        nonlocal counter
        for _ in range(times):
            async with lock:
                counter += 1
                await asyncio.sleep(0)

    began = clock()
    async with asyncio.TaskGroup() as ended:
        for _ in range(tasks):
            ended.create_task(increment())
    seconds = clock() - began
    rival.check("mutex_yield: counter", counter, tasks * times)
    return seconds


async def sleepers(n):
    cpu_before = rival.cpu_seconds()
    began = clock()
    async with asyncio.TaskGroup() as ended:
        for _ in range(n):
            ended.create_task(asyncio.sleep(1))
    return {"seconds": clock() - began, "cpu": rival.cpu_seconds() - cpu_before}


async def parked_memory(n):
    arrived = 0
    event = asyncio.Event()

    async def park():
        nonlocal arrived
        arrived += 1
        await event.wait()

    began = clock()
    before = rival.memory_now()
    async with asyncio.TaskGroup() as ended:
        for _ in range(n):
            ended.create_task(park())
        while arrived != n:
            await asyncio.sleep(0)
        figures = rival.memory_figures(before, rival.memory_now(), n)
        event.set()
    return {"seconds": clock() - began, **figures}


async def fib_of(n):
    if n < 2:
        return n
    task = asyncio.create_task(fib_of(n - 1))
    other = await fib_of(n - 2)
    return await task + other


async def fib(n):
    began = clock()
    result = await fib_of(n)
    seconds = clock() - began
    rival.check("fib", result, rival.fibonacci(n))
    return seconds


async def idle(n):
    event = asyncio.Event()
    async with asyncio.TaskGroup() as ended:
        for _ in range(n):
            ended.create_task(event.wait())
        await asyncio.sleep(0.1)  # all wait from here on
        cpu_before = rival.cpu_seconds()
        began = clock()
        await asyncio.sleep(1)
        seconds = clock() - began
        cpu = rival.cpu_seconds() - cpu_before
        event.set()
    return {"seconds": seconds, "cpu_ms": cpu * 1e3 / seconds}


async def sieve(n):
    """The chain is taken down by cancelling its tasks, where heddle closes the channels."""
    async def generate(out):
        i = 2
        while True:
            await out.put(i)
            i += 1

    async def keep_others(prime, numbers, out):
        while True:
            value = await numbers.get()
            if value % prime != 0:
                await out.put(value)

    began = clock()
    last_link = asyncio.Queue(1)
    tasks = [asyncio.create_task(generate(last_link))]
    prime = await last_link.get()
    for _ in range(n - 1):
        following = asyncio.Queue(1)
        tasks.append(asyncio.create_task(keep_others(prime, last_link, following)))
        last_link = following
        prime = await last_link.get()
    seconds = clock() - began
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    rival.check("sieve: prime", prime, rival.nth_prime(n))
    return seconds


async def all_runs(body, runs):
    while runs.wanted():
        runs.add(await body())


if __name__ == "__main__":
    sys.exit(rival.main(
        "asyncio", f"asyncio of {platform.python_implementation()} {platform.python_version()}",
        lambda body, runs: asyncio.run(all_runs(body, runs)),
        [switch, yield_many, chan_pingpong, chan_buffered, select, spawn_join, spawn_batch, skynet,
         mutex, mutex_yield, sleepers, parked_memory, fib, idle, sieve]))
