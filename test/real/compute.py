"""Big integers, generators, a dictionary that grows and shrinks, threads and exceptions; the same digest every time."""
import hashlib
import sys
import threading


def fibonacci():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, a + b


def digits(count):
    """Digits of pi by a spigot: a generator over big integers."""
    q, r, t, k, m, x = 1, 0, 1, 1, 3, 3
    while count:
        if 4 * q + r - t < m * t:
            yield m
            count -= 1
            q, r, m = 10 * q, 10 * (r - m * t), (10 * (3 * q + r)) // t - 10 * m
        else:
            q, r, t, k, m, x = (q * k, (2 * q + r) * x, t * x, k + 1, (q * (7 * k + 2) + r * x) // (t * x), x + 2)


def churn(results, number, rounds):
    table = {}
    for i in range(rounds):
        table[(i * 7919 + number) % 10007] = str(i) * 3
        if i % 3 == 0:
            try:
                del table[(i * 31) % 10007]
            except KeyError:
                pass
    results[number] = sum(len(v) for v in table.values())


def main():
    size = int(sys.argv[1])
    digest = hashlib.sha256()
    results = {}
    threads = [threading.Thread(target=churn, args=(results, n, 600000 * size)) for n in range(3)]
    for thread in threads:
        thread.start()
    # Each digit takes longer than the one before.
    for digit in digits(int(6000 * size**0.5)):
        digest.update(bytes([digit]))
    for i, value in zip(range(40000), fibonacci()):
        if i % 100 == 0:
            digest.update(str(value % (10**40)).encode())
    for thread in threads:
        thread.join()
    with open("result", "w") as out:
        print(digest.hexdigest(), sorted(results.items()), file=out)
        print("done", file=out)


main()
