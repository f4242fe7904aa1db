-- +goose Up

-- The dialogs of a call that had audio, by which relays know it. tag is the phone's.
CREATE TABLE cdr_dialogs (
    brand_id   BIGINT NOT NULL,
    company_id BIGINT NOT NULL,
    cdr_id     TEXT NOT NULL,
    call_id    TEXT NOT NULL,
    side       TEXT NOT NULL CHECK (side IN ('caller', 'callee')),
    tag        TEXT NOT NULL,
    PRIMARY KEY (company_id, cdr_id, call_id, tag),
    FOREIGN KEY (brand_id, company_id) REFERENCES companies (brand_id, id),
    FOREIGN KEY (company_id, cdr_id) REFERENCES cdrs (company_id, id) ON DELETE CASCADE
);
CREATE INDEX cdr_dialogs_call ON cdr_dialogs (call_id);

-- The last word of relays on what they took in from each side of a dialog. A relay
-- knows no company, and its word may come before the call's record or after it, so
-- these rows belong to the platform: a company reads those of the dialogs that its
-- records name, and what no record names is forgotten after a while. Times are
-- microseconds, NULL is for what is not known.
CREATE TABLE qualities (
    call_id    TEXT NOT NULL,
    relay      TEXT NOT NULL,
    created    BIGINT NOT NULL,
    stream     BIGINT NOT NULL,
    leg        BIGINT NOT NULL CHECK (leg IN (0, 1)),
    ended      BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    tag        TEXT NOT NULL,
    path       TEXT NOT NULL,
    codec      TEXT NOT NULL,
    packets    BIGINT NOT NULL,
    lost       BIGINT NOT NULL,
    jitter     BIGINT NOT NULL,
    round_trip BIGINT,
    mos        DOUBLE PRECISION,
    reason     TEXT NOT NULL,
    taken      BIGINT NOT NULL,
    PRIMARY KEY (call_id, relay, created, stream, leg)
);
CREATE INDEX qualities_taken ON qualities (taken);

-- The records of all companies, newest first.
CREATE INDEX cdrs_all ON cdrs (started, id);

-- +goose Down
DROP INDEX cdrs_all;
DROP TABLE qualities;
DROP TABLE cdr_dialogs;
