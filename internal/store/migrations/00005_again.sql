-- +goose Up

-- Whether the next scan asks again for what a gap says is missing, although it keeps what else was found.
ALTER TABLE gaps ADD COLUMN again BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE gaps DROP COLUMN again;
