-- +goose Up

-- A run is one call of scan. It is open until finished_at is set; jobs counts what is still to be done for it.
CREATE TABLE runs (
	id          TEXT   PRIMARY KEY,
	recipe      TEXT   NOT NULL, -- JSON of all besides refs that decides what is scanned and what is found
	version     TEXT   NOT NULL,
	verify      TEXT   NOT NULL,
	refs        TEXT   NOT NULL, -- JSON
	started_at  BIGINT NOT NULL, -- as all times: milliseconds since 1970
	finished_at BIGINT,
	jobs        BIGINT NOT NULL DEFAULT 0,
	settling    BIGINT NOT NULL DEFAULT 0 -- whether all targets are scanned
);

-- A target is a unit of work. Each of its parts that is read apart from the rest is a row ('' if there are none), and once its status is set, a
-- part of the report's coverage.
CREATE TABLE targets (
	run      TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	name     TEXT   NOT NULL,
	part     TEXT   NOT NULL,
	ref      BIGINT NOT NULL, -- index into the run's refs
	doc      TEXT   NOT NULL, -- JSON of what the provider needs to list it
	status   TEXT   NOT NULL DEFAULT '',
	coverage TEXT   NOT NULL DEFAULT '',
	failure  TEXT   NOT NULL DEFAULT '', -- JSON of what ended it early
	rules    TEXT   NOT NULL DEFAULT '', -- digest of what decides what is found: by the same, and in the same state, a later run would find the same
	state    TEXT   NOT NULL DEFAULT '', -- by which the provider knows that it has not changed
	halves   TEXT   NOT NULL DEFAULT '', -- which halves of credentials its CI variables have, and a keyed digest of them
	beside   TEXT   NOT NULL DEFAULT '', -- the halves of the target's other part that its own were joined with
	PRIMARY KEY (run, name, part)
);
CREATE INDEX pasts_of_targets ON targets (name, part);

-- How far the listing of a ref's targets has come.
CREATE TABLE cursors (
	run    TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	ref    BIGINT NOT NULL,
	cursor TEXT   NOT NULL,
	PRIMARY KEY (run, ref)
);

CREATE TABLE gaps (
	run    TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	target TEXT NOT NULL,
	part   TEXT NOT NULL,
	what   TEXT NOT NULL,
	why    TEXT NOT NULL,
	PRIMARY KEY (run, target, part, what, why)
);

-- A finding is what was found of one identity (a secret, or a rule and a place) in one target. No value is in it.
CREATE TABLE findings (
	run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	identity TEXT NOT NULL,
	target   TEXT NOT NULL,
	part     TEXT NOT NULL,
	kind     TEXT NOT NULL, -- of the secret, '' for none
	doc      TEXT NOT NULL,
	PRIMARY KEY (run, identity, target, part)
);
CREATE INDEX findings_of_targets ON findings (run, target, part);

CREATE TABLE verdicts (
	run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	identity TEXT NOT NULL,
	doc      TEXT NOT NULL,
	PRIMARY KEY (run, identity)
);

-- What else a target's report has: inventory and silencers.
CREATE TABLE notes (
	run    TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	target TEXT NOT NULL,
	part   TEXT NOT NULL,
	kind   TEXT NOT NULL, -- entry, silencer
	doc    TEXT NOT NULL
);
CREATE INDEX notes_of_targets ON notes (run, target, part);

-- Requests to each API, counted by each process.
CREATE TABLE calls (
	run    TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	worker TEXT   NOT NULL,
	api    TEXT   NOT NULL,
	n      BIGINT NOT NULL,
	PRIMARY KEY (run, worker, api)
);

-- A worker is a process that takes jobs. One that was not seen for a while is dead, and its jobs are free.
CREATE TABLE workers (
	id   TEXT   PRIMARY KEY,
	seen BIGINT NOT NULL
);

-- +goose Down
DROP TABLE workers;
DROP TABLE calls;
DROP TABLE notes;
DROP TABLE verdicts;
DROP TABLE findings;
DROP TABLE gaps;
DROP TABLE cursors;
DROP TABLE targets;
DROP TABLE runs;
