"""Clients of a shop that write all the time: `python -m examples.live.clients URL SECONDS CLIENTS RATE`.

Each has a connection of its own and works off its share of `RATE` transactions a second: new customers, orders with their lines, payments,
changes of address, lines that are struck out, orders that are deleted, and now and then one that is rolled back. At the end it says
how many transactions there were.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter

import psycopg

ARTICLES = ("Tee", "Kaffee", "Zucker", "Brot", "Käse", "Äpfel 🍎")


def fill(url: str, customers: int) -> None:
    """What is there before anybody follows: some customers, each with an order of two lines."""
    with psycopg.connect(url) as shop:
        shop.execute(
            "INSERT INTO kunde (name, ort) SELECT 'Kunde ' || n, 'Wien' FROM generate_series(1, %s) n", [customers]
        )
        shop.execute("INSERT INTO auftrag (kunde, betrag_cent) SELECT id, 1000 + id FROM kunde")
        shop.execute("INSERT INTO zeile SELECT id, n, 'Tee', n FROM auftrag, generate_series(1, 2) n")


class Client(threading.Thread):
    """One who writes until time is up."""

    def __init__(self, url: str, number: int, until: float, pause: float) -> None:
        super().__init__(daemon=True)
        self.url, self.until, self.pause = url, until, pause
        self.chance = random.Random(number)
        self.done: Counter[str] = Counter()
        self.failed: Exception | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self.url) as shop:
                due = time.monotonic()
                while time.monotonic() < self.until:
                    what = self.chance.choices(
                        (self.orders, self.registers, self.pays, self.moves, self.strikes, self.deletes, self.gives_up),
                        (40, 10, 25, 10, 6, 6, 3),
                    )[0]
                    try:
                        what(shop)
                        self.done[what.__name__] += 1
                    except psycopg.errors.IntegrityError:
                        shop.rollback()  # somebody else deleted what it refers to
                    due += self.pause
                    time.sleep(max(0.0, due - time.monotonic()))
        except Exception as error:
            self.failed = error

    def any_of(self, shop: psycopg.Connection, table: str) -> int:
        found = shop.execute(f"SELECT max(id) FROM {table}".encode()).fetchone()
        return self.chance.randint(1, max(1, (found or (1,))[0] or 1))

    def registers(self, shop: psycopg.Connection) -> None:
        shop.execute("INSERT INTO kunde (name, ort) VALUES (%s, 'Graz')", [f"Neu {self.chance.randint(1, 10**6)}"])
        shop.commit()

    def orders(self, shop: psycopg.Connection) -> None:
        customer = self.any_of(shop, "kunde")
        found = shop.execute(
            "INSERT INTO auftrag (kunde, betrag_cent) VALUES (%s, %s) RETURNING id",
            [customer, self.chance.randint(1, 10**6)],
        ).fetchone()
        for line in range(self.chance.randint(1, 4)):
            item = (found or (0,))[0], line + 1, self.chance.choice(ARTICLES), self.chance.randint(1, 9)
            shop.execute("INSERT INTO zeile VALUES (%s, %s, %s, %s)", item)
        shop.commit()

    def pays(self, shop: psycopg.Connection) -> None:
        shop.execute("UPDATE auftrag SET stand = 'B' WHERE id = %s", [self.any_of(shop, "auftrag")])
        shop.commit()

    def moves(self, shop: psycopg.Connection) -> None:
        shop.execute(
            "UPDATE kunde SET ort = %s WHERE id = %s", [f"Ort {self.chance.random():.6f}", self.any_of(shop, "kunde")]
        )
        shop.commit()

    def strikes(self, shop: psycopg.Connection) -> None:
        shop.execute("DELETE FROM zeile WHERE auftrag = %s AND nr = 1", [self.any_of(shop, "auftrag")])
        shop.commit()

    def deletes(self, shop: psycopg.Connection) -> None:
        shop.execute("DELETE FROM auftrag WHERE id = %s", [self.any_of(shop, "auftrag")])
        shop.commit()

    def gives_up(self, shop: psycopg.Connection) -> None:
        shop.execute("UPDATE kunde SET name = 'nie' WHERE id = %s", [self.any_of(shop, "kunde")])
        shop.rollback()


def main() -> None:
    url, seconds, clients, rate = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    until = time.monotonic() + seconds
    some = [Client(url, number, until, clients / rate) for number in range(clients)]
    for each in some:
        each.start()
    for each in some:
        each.join()
        if each.failed is not None:
            raise SystemExit(f"A client failed: {each.failed}")
    done = sum((each.done for each in some), Counter())
    print(
        f"{sum(done.values()):,} transactions: {', '.join(f'{count:,} {name}' for name, count in sorted(done.items()))}"
    )


if __name__ == "__main__":
    main()
