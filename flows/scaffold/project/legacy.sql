CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, born TEXT, since TEXT NOT NULL);
INSERT INTO customers VALUES
  (1, 'Ada Lovelace', '1815-12-10', '2012-01-31 09:00:00'),
  (2, 'Škoda & Co', NULL, '2013-05-02 13:30:00'),
  (3, 'Grace Hopper', '1906-12-09', '2013-11-03 01:30:00');
CREATE TABLE orders (number INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), cents INTEGER NOT NULL);
INSERT INTO orders VALUES (100, 1, 1999), (101, 2, 250000), (102, 3, 500);
