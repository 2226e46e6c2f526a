-- The rows: small tables by hand, orders and their lines by the sequence engine.
SET foreign_key_checks = 0, time_zone = '+00:00', sql_mode = 'NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO';

INSERT INTO country VALUES ('AT', 'Österreich'), ('JP', '日本'), ('US', 'United States');

INSERT INTO store VALUES
    (1, 1, 'Wien', 'AT', '2009-03-01', '09:00:00'),
    (2, 2, 'Zürich', 'AT', '0000-00-00', '08:30:00'),
    (255, 3, 'Osaka', 'JP', '2015-00-00', '10:00:00');

INSERT INTO staff (staff_id, store_id, name, email, active, admin, overtime, born, photo) VALUES
    (1, 1, 'Ann', 'ann@shop.test', 1, 2, '100:30:00', 1984, NULL),
    (2, 2, 'Zoë ', 'zoe@shop.test', 1, 0, '-05:00:00', 1901, x'00ff0a27225c'),
    (3, 255, '健太 😀', 'kenta@shop.test', 0, 1, NULL, 2155, ''),
    (4, 1, 'O''Hara "the \\"', 'ohara@shop.test', 1, 1, '00:00:00', NULL, NULL);

INSERT INTO product (product_id, sku, title, kind, features, price, weight, flags, serial, details) VALUES
    (1, 'B-1', 'The Trial', 'book', 'used,rare', 9.99, 0.1, b'00000001', 18446744073709551615, '{"pages": 255}'),
    (2, 'F-1', 'Stalker', 'film', '', 19.90, 1e-20, b'11111111', 0, NULL),
    (3, 'X-1', 'Tab\there, line\nthere', 'other', 'import', 0.00, NULL, b'0', NULL, '[]'),
    (9007199254740993, 'G-1', '', 'game', 'used,signed,rare,import', 99999999.99, 16777216, b'10000000', 1, '"x"');
INSERT INTO product (product_id, sku, title, kind) VALUES (5, 'E-1', 'An enum that was never valid', 'vinyl');

INSERT INTO `order` (order_id, store_id, placed_at, shipped_at, note)
SELECT seq, elt(1 + seq % 3, 1, 2, 255), '2020-01-01' + INTERVAL seq * 7919 SECOND + INTERVAL seq MICROSECOND,
       if(seq % 5 = 0, NULL, '2020-01-02 00:00:00' + INTERVAL seq * 7919 SECOND), elt(1 + seq % 4, NULL, '', 'NULL', 'ok ')
FROM seq_1_to_20000;
UPDATE `order` SET placed_at = '0000-00-00 00:00:00' WHERE order_id % 1000 = 7;

INSERT INTO order_line (order_id, line, product_id, quantity, discount)
SELECT o.seq, l.seq, elt(1 + (o.seq + l.seq) % 4, 1, 2, 3, 9007199254740993), 1 + o.seq % 9, if(l.seq = 1, 0.1 * (o.seq % 7), NULL)
FROM seq_1_to_20000 o JOIN seq_1_to_3 l ON l.seq <= 1 + o.seq % 3;

INSERT INTO `Größe & co` VALUES (0, 'zero'), (-2147483648, NULL), (2147483647, '');

INSERT INTO access_log VALUES ('2020-01-01 00:00:00', '/'), ('2020-01-01 00:00:00', '/');
