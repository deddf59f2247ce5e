"""A pool of processes, queues, locks and shared memory without a name; the same result every time."""
import multiprocessing
import sys
import time
from multiprocessing import shared_memory


def mix(number):
    for _ in range(100000):
        number = number * 16807 % 2147483647
    return number


def note(queue, total, name, who):
    memory = shared_memory.SharedMemory(name)
    for i in range(100):
        with total.get_lock():
            total.value += who
        memory.buf[who * 100 + i] = i
        queue.put((who, i))
        time.sleep(0.005)
    memory.close()


def main(size):
    multiprocessing.set_start_method("fork")
    memory = shared_memory.SharedMemory(create=True, size=4096)
    queue, total = multiprocessing.Queue(), multiprocessing.Value("l", 0)
    writers = [multiprocessing.Process(target=note, args=(queue, total, memory.name, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    with multiprocessing.Pool(2) as pool:
        mixed = sum(pool.map(mix, range(1, size * 100), chunksize=4))
    told = len({queue.get() for _ in range(300)})
    for writer in writers:
        writer.join()
    noted = sum(memory.buf[:300])
    memory.close()
    memory.unlink()
    with open("result", "w") as out:
        print(mixed, total.value, told, noted, file=out)
        print("done", file=out)


if __name__ == "__main__":
    main(int(sys.argv[1]))
