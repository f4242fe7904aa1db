-- +goose Up

-- Numbers that grow with every change of what all cores share. Whoever changes
-- that locks its row here first, so changes queue up, and other cores look here
-- to see whether there is anything new. The number of policy is that of the
-- version in force.
CREATE TABLE revisions (
    name   TEXT PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO revisions (name, number) VALUES ('policy', 0), ('bans', 0);

-- Versions are added, never changed. Times are microseconds since 1970 (UTC).
CREATE TABLE policies (
    number   BIGINT PRIMARY KEY,
    document TEXT NOT NULL,
    author   TEXT NOT NULL,
    note     TEXT NOT NULL,
    made     BIGINT NOT NULL
);

-- One row for each ban there was. A source has at most one that is not lifted and
-- has not ended.
CREATE TABLE bans (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    prefix    TEXT NOT NULL,
    reason    TEXT NOT NULL,
    since     BIGINT NOT NULL,
    until     BIGINT NOT NULL,
    made_by   TEXT NOT NULL,
    proven    BIGINT NOT NULL CHECK (proven IN (0, 1)),
    lifted_at BIGINT,
    lifted_by TEXT NOT NULL
);
CREATE INDEX bans_prefix ON bans (prefix);
CREATE INDEX bans_until ON bans (until);

CREATE TABLE audits (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    made   BIGINT NOT NULL,
    who    TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT NOT NULL,
    after  TEXT NOT NULL
);

-- From where the people of a company may call.
CREATE TABLE accesses (
    brand_id   BIGINT NOT NULL,
    company_id BIGINT NOT NULL PRIMARY KEY,
    revision   BIGINT NOT NULL,
    document   TEXT NOT NULL,
    FOREIGN KEY (brand_id, company_id) REFERENCES companies (brand_id, id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE accesses;
DROP TABLE audits;
DROP TABLE bans;
DROP TABLE policies;
DROP TABLE revisions;
