-- +goose Up

-- The key of ids and fingerprints, in one row, where the operator does not keep it elsewhere.
CREATE TABLE store_key (
	one   BIGINT PRIMARY KEY CHECK (one = 1),
	value TEXT   NOT NULL
);

-- How far a run has come is asked every few seconds, and its targets' documents are long.
CREATE INDEX status_of_targets ON targets (run, name, status);

-- +goose Down
DROP INDEX status_of_targets;
DROP TABLE store_key;
