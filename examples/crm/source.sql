-- The old CRM: German names, cents, seconds, letters for states, and what nobody else is to see.
CREATE TABLE kunde (
    kid INTEGER PRIMARY KEY,
    firma VARCHAR(80) NOT NULL,
    mail VARCHAR(80) UNIQUE,
    status CHAR(1) NOT NULL CHECK (status IN ('I', 'K', 'X')),
    umsatz_cent BIGINT NOT NULL DEFAULT 0,
    notiz VARCHAR(200),
    schlagworte VARCHAR(100),
    geaendert TIMESTAMP NOT NULL,
    intern VARCHAR(20) NOT NULL
);
CREATE TABLE anruf (
    aid INTEGER PRIMARY KEY,
    kid INTEGER NOT NULL REFERENCES kunde (kid),
    am TIMESTAMP NOT NULL,
    sekunden INTEGER NOT NULL,
    worum VARCHAR(100)
);
