"""asyncio on epoll with a pipe to wake it up, pipes between tasks, an executor of threads and one of processes, child
processes; the same result every time. (The loop as it comes wakes itself up by a pair of sockets.)"""
import asyncio
import concurrent.futures
import hashlib
import multiprocessing
import os
import sys


class PipeEnd:
    def __init__(self, fd):
        os.set_blocking(fd, False)
        self.fd = fd

    def fileno(self):
        return self.fd

    def recv(self, size):
        return os.read(self.fd, size)

    def send(self, data):
        return os.write(self.fd, data)

    def close(self):
        os.close(self.fd)


class Loop(asyncio.SelectorEventLoop):
    def _make_self_pipe(self):
        self._ssock, self._csock = map(PipeEnd, os.pipe())
        self._internal_fds += 1
        self._add_reader(self._ssock.fileno(), self._read_from_self)


def work(number):
    digest = hashlib.sha256()
    for i in range(20000):
        digest.update(b"%d %d" % (number, i))
    return digest.hexdigest()[:16]


async def produce(fd, count):
    for i in range(count):
        await asyncio.sleep(0.001 * (i % 3))
        os.write(fd, b"%8d" % i)
    os.close(fd)


async def consume(fd):
    loop = asyncio.get_running_loop()
    total = 0
    ended = loop.create_future()

    def readable():
        nonlocal total
        data = os.read(fd, 8)
        if data:
            total += int(data)
        else:
            loop.remove_reader(fd)
            ended.set_result(None)

    loop.add_reader(fd, readable)
    await ended
    os.close(fd)
    return total


async def main(size):
    loop = asyncio.get_running_loop()
    results = []
    with concurrent.futures.ThreadPoolExecutor(3) as threads, concurrent.futures.ProcessPoolExecutor(2) as processes:
        jobs = [loop.run_in_executor(pool, work, n) for n in range(60 * size) for pool in (threads, processes)]
        pipes = [os.pipe() for _ in range(4)]
        readers = [asyncio.ensure_future(consume(r)) for r, _ in pipes]
        await asyncio.gather(*(produce(w, 400 * size) for _, w in pipes))
        results += await asyncio.gather(*readers)
        results += await asyncio.gather(*jobs)
    return results


def square(number):
    return number * number, work(number)


if __name__ == "__main__":
    loop = Loop()
    asyncio.set_event_loop(loop)
    found = loop.run_until_complete(main(int(sys.argv[1])))
    loop.close()
    with multiprocessing.Pool(2) as pool:
        found += pool.map(square, range(60 * int(sys.argv[1])), chunksize=3)
    with open("result", "w") as out:
        print(found, file=out)
        print("done", file=out)
