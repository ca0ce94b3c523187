-- A small shop, for trying rsqoop out: examples/make_shop.sh turns this into examples/shop.db.
-- Every value is computed, so that the same file comes out each time. Read with `sqlite3 examples/shop.db`.
--
--   countries     text key                       customers    NULLs, names in several scripts
--   products      decimals, a nullable weight    orders       dates, timestamps, an integer key with gaps
--   order_items   two-column key                 payments     decimals as large as 10,2 allows
--   log           no primary key                 returns      an empty table

PRAGMA page_size = 4096;
BEGIN;

CREATE TABLE countries (
  code TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  currency CHAR(3) NOT NULL
);
INSERT INTO countries VALUES
  ('AT', 'Österreich', 'EUR'), ('CZ', 'Česko', 'CZK'), ('DE', 'Deutschland', 'EUR'),
  ('ES', 'España', 'EUR'), ('FR', 'France', 'EUR'), ('GR', 'Ελλάδα', 'EUR'),
  ('IN', 'भारत', 'INR'), ('JP', '日本', 'JPY'), ('NO', 'Norge', 'NOK'),
  ('PL', 'Polska', 'PLN'), ('UA', 'Україна', 'UAH'), ('US', 'United States', 'USD');

CREATE TABLE customers (
  id INTEGER PRIMARY KEY,
  name VARCHAR(80) NOT NULL,
  email VARCHAR(120),
  country TEXT NOT NULL REFERENCES countries (code),
  born DATE,
  credit DECIMAL(10,2) NOT NULL,
  active BOOLEAN NOT NULL,
  created_at TIMESTAMP NOT NULL
);
WITH RECURSIVE
  n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200),
  given (k, name) AS (VALUES (0, 'Ada'), (1, 'Jörg'), (2, 'Žofie'), (3, 'Νίκη'), (4, 'Олена'), (5, 'さくら'),
    (6, 'Seán'), (7, 'Łucja'), (8, 'आशा'), (9, 'Inés'), (10, 'Zoë')),
  family (k, name) AS (VALUES (0, 'Lovelace'), (1, 'Müller'), (2, 'Kovářová'), (3, 'Παπαδάκη'), (4, 'Шевченко'),
    (5, '佐藤'), (6, 'O''Brien'), (7, 'Wiśniewska'), (8, 'शर्मा'), (9, 'Núñez, jr.'), (10, 'de "Vries"'), (11, 'Ødegård'), (12, 'Smith')),
  land (k, code) AS (SELECT row_number() OVER (ORDER BY code) - 1, code FROM countries)
INSERT INTO customers
SELECT i, given.name || ' ' || family.name,
  CASE WHEN i % 9 <> 0 THEN 'customer' || i || '@shop.example' END,
  land.code,
  CASE WHEN i % 11 <> 0 THEN date('1940-02-29', '+' || (i * 7919 % 24000) || ' days') END,
  CASE WHEN i % 50 = 0 THEN -(i % 7) * 1234 / 100.0 ELSE i * 104729 % 500000 / 100.0 END,
  i % 8 <> 0,
  datetime('2023-01-01 08:00:00', '+' || (i * 15485863 % 31000000) || ' seconds')
FROM n JOIN given ON given.k = i % 11 JOIN family ON family.k = i % 13 JOIN land ON land.k = i * 7 % 12
ORDER BY i;

CREATE TABLE products (
  id INTEGER PRIMARY KEY,
  sku CHAR(8) NOT NULL UNIQUE,
  name VARCHAR(60) NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  weight_kg DOUBLE,
  stock SMALLINT NOT NULL,
  picture BLOB
);
WITH RECURSIVE
  n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50),
  kind (k, name) AS (VALUES (0, 'Tea'), (1, 'Café'), (2, 'Pierogi'), (3, '寿司 mat'), (4, 'Crème brûlée torch'), (5, 'Apron')),
  size (k, name) AS (VALUES (0, 'small'), (1, 'medium'), (2, 'large'), (3, 'extra large'), (4, '½ size'))
INSERT INTO products
SELECT i, printf('SKU%05d', i * 613), kind.name || ', ' || size.name || ' №' || i, (i * 48611 % 19900 + 99) / 100.0,
  CASE WHEN i % 6 <> 0 THEN i * 37 % 500 / 64.0 END, i * 211 % 300,
  CASE WHEN i % 5 = 0 THEN CAST(char(i, i + 1, 0, 10) AS BLOB) END
FROM n JOIN kind ON kind.k = i % 6 JOIN size ON size.k = i % 5
ORDER BY i;

CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  status VARCHAR(10) NOT NULL,
  ordered_on DATE NOT NULL,
  shipped_at TIMESTAMP,
  note TEXT
);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
INSERT INTO orders
SELECT 1000 + i + i / 100 * 50, -- a gap after every hundred
  i * 6607 % 200 + 1,
  CASE i % 10 WHEN 0 THEN 'cancelled' WHEN 1 THEN 'open' ELSE 'shipped' END,
  date('2024-01-01', '+' || (i / 3) || ' days'),
  CASE WHEN i % 10 > 1 THEN datetime('2024-01-01 09:00:00', '+' || (i / 3) || ' days', '+' || (i * 7907 % 200000) || ' seconds') END,
  CASE i % 12 WHEN 0 THEN 'Gift: "für Omi", with card' WHEN 5 THEN 'leave at' || char(10) || 'the door' WHEN 7 THEN '' END
FROM n
ORDER BY i;

CREATE TABLE order_items (
  order_id INTEGER NOT NULL REFERENCES orders (id),
  line SMALLINT NOT NULL,
  product_id INTEGER NOT NULL REFERENCES products (id),
  quantity SMALLINT NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (order_id, line)
);
INSERT INTO order_items
SELECT o.id, l.line, p.id, (o.id + l.line) * 31 % 5 + 1, p.price
FROM orders o
JOIN (SELECT 1 AS line UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) l ON l.line <= o.id * 13 % 4 + 1
JOIN products p ON p.id = (o.id * 17 + l.line * 29) % 50 + 1
ORDER BY o.id, l.line;

CREATE TABLE payments (
  id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES orders (id),
  method VARCHAR(12) NOT NULL,
  amount DECIMAL(10,2) NOT NULL,
  paid_at TIMESTAMP NOT NULL
);
INSERT INTO payments (order_id, method, amount, paid_at)
SELECT o.id, CASE o.id % 3 WHEN 0 THEN 'card' WHEN 1 THEN 'transfer' ELSE 'voucher' END,
  round(sum(i.quantity * i.price), 2), o.shipped_at
FROM orders o JOIN order_items i ON i.order_id = o.id
WHERE o.shipped_at IS NOT NULL
GROUP BY o.id
ORDER BY o.id;
INSERT INTO payments (order_id, method, amount, paid_at) VALUES
  (1001, 'correction', 99999999.99, '2025-12-31 23:59:59'), (1001, 'correction', -99999999.99, '2025-12-31 23:59:59');

CREATE TABLE log (
  at TIMESTAMP NOT NULL,
  level VARCHAR(5) NOT NULL,
  message TEXT
);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
INSERT INTO log
SELECT datetime('2025-01-01', '+' || (i * 997) || ' seconds'),
  CASE i % 25 WHEN 0 THEN 'ERROR' WHEN 13 THEN 'WARN' ELSE 'INFO' END,
  CASE WHEN i % 40 <> 0 THEN 'request ' || i || ' took ' || (i * 7 % 90) || ' ms' END
FROM n
ORDER BY i;

CREATE TABLE returns (
  id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES orders (id),
  reason TEXT
);

COMMIT;
VACUUM;
