-- A MySQL schema as fifteen years leave it behind: zero dates, flags that hold 2, unsigned keys, a circle of foreign
-- keys, latin1 beside utf8, and times that are spans.
SET foreign_key_checks = 0, time_zone = '+00:00', sql_mode = 'NO_ENGINE_SUBSTITUTION';

CREATE TABLE country (
    code CHAR(2) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    name VARCHAR(60) NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE store (
    store_id TINYINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    manager_id SMALLINT UNSIGNED NOT NULL,
    city VARCHAR(40) CHARACTER SET latin1 NOT NULL,
    country CHAR(2) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'AT',
    opened DATE NOT NULL DEFAULT '0000-00-00',
    opens TIME NOT NULL DEFAULT '09:00:00',
    UNIQUE KEY one_store_a_manager (manager_id),
    KEY by_country (country),
    CONSTRAINT store_country FOREIGN KEY (country) REFERENCES country (code),
    CONSTRAINT store_manager FOREIGN KEY (manager_id) REFERENCES staff (staff_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE staff (
    staff_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    store_id TINYINT UNSIGNED NOT NULL,
    name VARCHAR(80) NOT NULL,
    email VARCHAR(120) NOT NULL,
    active TINYINT(1) NOT NULL DEFAULT 1,
    admin TINYINT(1) NOT NULL DEFAULT 0 COMMENT '2 since the audit',
    overtime TIME DEFAULT NULL,
    born YEAR DEFAULT NULL,
    photo BLOB DEFAULT NULL,
    UNIQUE KEY email (email),
    CONSTRAINT staff_store FOREIGN KEY (store_id) REFERENCES store (store_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE product (
    product_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    sku VARCHAR(20) CHARACTER SET ascii NOT NULL,
    title VARCHAR(128) NOT NULL,
    kind ENUM('book', 'film', 'game', 'other') NOT NULL DEFAULT 'other',
    features SET('used', 'signed', 'rare', 'import') NOT NULL DEFAULT '',
    price DECIMAL(10, 2) NOT NULL DEFAULT 0.00,
    weight FLOAT DEFAULT NULL,
    flags BIT(8) NOT NULL DEFAULT b'0',
    serial BIGINT UNSIGNED DEFAULT NULL,
    details JSON DEFAULT NULL,
    gross DECIMAL(12, 2) GENERATED ALWAYS AS (round(price * 1.2, 2)) STORED,
    UNIQUE KEY sku (sku),
    KEY by_title (title),
    CHECK (price >= 0)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE `order` (
    order_id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    store_id TINYINT UNSIGNED NOT NULL,
    placed_at DATETIME(6) NOT NULL DEFAULT '0000-00-00 00:00:00.000000',
    shipped_at TIMESTAMP NULL DEFAULT NULL,
    note TEXT CHARACTER SET utf8mb4 DEFAULT NULL,
    KEY by_store (store_id, placed_at),
    CONSTRAINT order_store FOREIGN KEY (store_id) REFERENCES store (store_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE order_line (
    order_id INT UNSIGNED NOT NULL,
    line SMALLINT UNSIGNED NOT NULL,
    product_id BIGINT UNSIGNED NOT NULL,
    quantity MEDIUMINT NOT NULL DEFAULT 1,
    discount DOUBLE DEFAULT NULL,
    PRIMARY KEY (order_id, line),
    CONSTRAINT line_order FOREIGN KEY (order_id) REFERENCES `order` (order_id) ON DELETE CASCADE,
    CONSTRAINT line_product FOREIGN KEY (product_id) REFERENCES product (product_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE `Größe & co` (
    `select` INT NOT NULL PRIMARY KEY,
    `two words` VARCHAR(10) DEFAULT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE access_log (
    at DATETIME NOT NULL,
    path TEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
