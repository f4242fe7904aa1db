-- +goose Up

-- What holds for the whole platform.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE brands (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
);

-- Every row below the platform carries its brand, every row below a brand its
-- company, and a row can only point at rows of the same company: the foreign
-- keys include it.
CREATE TABLE companies (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    brand_id BIGINT NOT NULL REFERENCES brands (id),
    name     TEXT NOT NULL,
    domain   TEXT NOT NULL UNIQUE CHECK (domain <> '' AND domain = lower(domain)),
    ring_ms  BIGINT NOT NULL CHECK (ring_ms > 0),
    UNIQUE (brand_id, name),
    UNIQUE (brand_id, id)
);

CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    brand_id   BIGINT NOT NULL,
    company_id BIGINT NOT NULL,
    name       TEXT NOT NULL,
    UNIQUE (company_id, id),
    FOREIGN KEY (brand_id, company_id) REFERENCES companies (brand_id, id)
);

CREATE TABLE terminals (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    brand_id   BIGINT NOT NULL,
    company_id BIGINT NOT NULL,
    user_id    BIGINT NOT NULL,
    username   TEXT NOT NULL CHECK (username <> ''),
    ha1_md5    TEXT NOT NULL,
    ha1_sha256 TEXT NOT NULL,
    UNIQUE (company_id, username),
    UNIQUE (company_id, id),
    FOREIGN KEY (brand_id, company_id) REFERENCES companies (brand_id, id),
    FOREIGN KEY (company_id, user_id) REFERENCES users (company_id, id) ON DELETE CASCADE
);

CREATE TABLE extensions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    brand_id   BIGINT NOT NULL,
    company_id BIGINT NOT NULL,
    number     TEXT NOT NULL CHECK (number <> ''),
    kind       TEXT NOT NULL CHECK (kind IN ('user', 'echo', 'greeting')),
    user_id    BIGINT CHECK ((kind = 'user') = (user_id IS NOT NULL)),
    UNIQUE (company_id, number),
    FOREIGN KEY (brand_id, company_id) REFERENCES companies (brand_id, id),
    FOREIGN KEY (company_id, user_id) REFERENCES users (company_id, id) ON DELETE CASCADE
);
CREATE INDEX extensions_user ON extensions (company_id, user_id);

-- Times are microseconds since 1970 (UTC).
CREATE TABLE bindings (
    brand_id    BIGINT NOT NULL,
    company_id  BIGINT NOT NULL,
    terminal_id BIGINT NOT NULL,
    key         TEXT NOT NULL,
    user_id     BIGINT NOT NULL,
    contact     TEXT NOT NULL,
    params      TEXT NOT NULL,
    path        TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    cseq        BIGINT NOT NULL,
    user_agent  TEXT NOT NULL,
    source      TEXT NOT NULL,
    expires     BIGINT NOT NULL,
    updated     BIGINT NOT NULL,
    PRIMARY KEY (company_id, terminal_id, key),
    FOREIGN KEY (brand_id, company_id) REFERENCES companies (brand_id, id),
    FOREIGN KEY (company_id, terminal_id) REFERENCES terminals (company_id, id) ON DELETE CASCADE,
    FOREIGN KEY (company_id, user_id) REFERENCES users (company_id, id) ON DELETE CASCADE
);
CREATE INDEX bindings_user ON bindings (company_id, user_id);

-- A record outlives the users it names, so those are no foreign keys.
CREATE TABLE cdrs (
    brand_id    BIGINT NOT NULL,
    company_id  BIGINT NOT NULL,
    id          TEXT NOT NULL,
    caller_user BIGINT,
    callee_user BIGINT,
    from_number TEXT NOT NULL,
    to_number   TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    started     BIGINT NOT NULL,
    answered    BIGINT,
    ended       BIGINT NOT NULL,
    verdict     TEXT NOT NULL CHECK (verdict IN ('ok', 'caller', 'callee', 'upstream', 'ours')),
    code        BIGINT NOT NULL,
    hung_up_by  TEXT NOT NULL,
    reason      TEXT NOT NULL,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (brand_id, company_id) REFERENCES companies (brand_id, id)
);
CREATE INDEX cdrs_started ON cdrs (company_id, started);

-- +goose Down
DROP TABLE cdrs;
DROP TABLE bindings;
DROP TABLE extensions;
DROP TABLE terminals;
DROP TABLE users;
DROP TABLE companies;
DROP TABLE brands;
DROP TABLE settings;
